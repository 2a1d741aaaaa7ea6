/** Mutants of what a log does for regions: see log-mutants.ts. */
import type { Entry } from '../events/log.ts';
import type { LogMutant } from './log-mutants.ts';

export const FLOOR = 'a floor lifts the epoch of whoever opens or adopts, and never lowers it';

export const PAGES =
  'pages of several partitions are copied at once, and one that is refused hinders no other';
const OLDER_HOME = 'a copy takes nothing of an older home, and remembers the one that spoke last';
const PASSED_OVER = 'what a copy passes over must be what stands there';

export const YIELDED = 'a home that others have taken over is followed as a copy, whatever stands there';

export const CUT = 'the last entries of a copy are cut into the quarantine, and what is left is a log';
export const FORGOTTEN_ANSWERS =
  'what is cut off is an answer no more, and an older one of its key counts again';
export const ARCHIVED_CUT = 'what stands in segments is not cut off a copy';

const LEASED = 'without a lease nothing is appended or adopted, and all else goes on';
export const UNSEATED = 'a home is taken from whoever has it open';
export const SERVED = 'what is not to be served any more is not told as done';

/** Of cases that see when a refusal is not told. */
export const REFUSALS = [PAGES, OLDER_HOME, PASSED_OVER];

export const regionMutants: Readonly<Record<string, LogMutant>> = {
  'an opening ignores its floor': {
    breaks: [FLOOR],
    sql: [['VALUES (?, max(1, ?), 0', 'VALUES (?, max(1, min(1, ?)), 0']],
  },
  'an adoption ignores its floor': {
    breaks: [FLOOR],
    sql: [['SET epoch = max(epoch + 1, ?), batch = ?', 'SET epoch = epoch + min(1, max(1, ?)), batch = ?']],
  },
  'a home that was taken over stays one': {
    breaks: [YIELDED],
    sql: [['epoch = epoch + 1, batch = 0 WHERE batch <> 0', 'epoch = epoch + 1 WHERE batch <> 0']],
  },
  'who had a home open that was taken over goes on': {
    breaks: [YIELDED],
    sql: [['epoch = epoch + 1, batch = 0 WHERE batch <> 0', 'batch = 0 WHERE batch <> 0']],
  },
  'a home that is taken stays with whoever had it': {
    breaks: [UNSEATED],
    sql: [
      [
        'SET epoch = epoch + 1, batch = 0 WHERE partition = ? AND batch <> 0',
        'SET batch = 0 WHERE partition = ? AND batch <> 0',
      ],
    ],
  },
  'what is cut off is lost': {
    breaks: [CUT, FORGOTTEN_ANSWERS],
    sql: [[/^INSERT INTO quarantine[^$]*/, 'SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?']],
  },
  'a cut does not look where the copy ends': {
    breaks: [CUT],
    log: (log) => ({
      ...log,
      moving: {
        ...log.moving,
        cut: async ({ partition }, after, max) =>
          log.moving.cut(await log.moving.follow(partition), after, max),
      },
    }),
  },
  'what is cut off stays an answer': {
    breaks: [CUT, FORGOTTEN_ANSWERS],
    log: (log) => {
      const answers = new Map<string, Entry>();
      return {
        ...log,
        moving: {
          ...log.moving,
          async cut(head, after, max) {
            for (const entry of await log.readPartition(head.partition, after, 1_000))
              if (entry.key !== null) answers.set(entry.key, entry);
            return log.moving.cut(head, after, max);
          },
        },
        findAnswer: async (partition, key) =>
          (await log.findAnswer(partition, key)) ?? answers.get(key) ?? null,
      };
    },
  },
  'an older answer does not come back': {
    breaks: [FORGOTTEN_ANSWERS],
    sql: [['SELECT older FROM replaced_answers', 'SELECT NULL AS older FROM replaced_answers']],
  },
  'an older answer comes back whose days are over': {
    breaks: [FORGOTTEN_ANSWERS],
    sql: [['SELECT forgotten AS up_to', 'SELECT 0 AS up_to']],
  },
  'a cut leaves its head where it was': {
    breaks: [CUT, FORGOTTEN_ANSWERS, ARCHIVED_CUT],
    sql: [
      [
        'SET position = ?1, checksum = ?2, forgotten',
        'SET position = max(position, ?1), checksum = ?2, forgotten',
      ],
    ],
  },
  'a cut leaves the checksum': {
    breaks: [CUT, FORGOTTEN_ANSWERS, ARCHIVED_CUT],
    sql: [
      [
        'SET position = ?1, checksum = ?2, forgotten',
        'SET position = ?1, checksum = iif(?2 > 0, checksum, checksum), forgotten',
      ],
    ],
  },
  'what comes behind a cut is never forgotten': {
    breaks: [FORGOTTEN_ANSWERS],
    sql: [['forgotten = min(forgotten, ?1) WHERE', 'forgotten = forgotten WHERE']],
  },
  'segments are cut': {
    breaks: [ARCHIVED_CUT],
    sql: [
      ['SELECT max(last) AS last FROM segments WHERE partition = ?', 'SELECT 0 AS last WHERE ? > 0'],
      [
        'SELECT checksum FROM entries WHERE spot = ?',
        'SELECT coalesce((SELECT checksum FROM entries WHERE spot = ?), zeroblob(16)) AS checksum',
      ],
    ],
  },
  'a settled entry is settled again': {
    breaks: [CUT],
    sql: [[' AND decided IS NULL', '']],
  },
  'what was dropped leaves no quarantine': {
    breaks: [CUT],
    sql: [
      [
        'CREATE TABLE IF NOT EXISTS replaced_answers',
        `CREATE TRIGGER IF NOT EXISTS dropped AFTER DELETE ON heads BEGIN DELETE FROM quarantine; END;
         CREATE TABLE IF NOT EXISTS replaced_answers`,
      ],
    ],
  },
  'a lease is not asked for': {
    breaks: [LEASED],
    options: (options, pool) => ({ ...options, pool }),
  },
  'what may not be served any more is told': {
    breaks: [SERVED],
    options: ({ mayServe: _, ...options }) => options,
  },
  'an older home is heard': {
    breaks: [OLDER_HOME],
    log: (log) => ({
      ...log,
      moving: {
        ...log.moving,
        copy: (pages) => log.moving.copy(pages.map((page) => ({ ...page, homeEpoch: null }))),
      },
    }),
  },
  'a copy forgets a home that spoke without entries': {
    breaks: [OLDER_HOME],
    log: (log) => ({
      ...log,
      moving: {
        ...log.moving,
        copy: (pages) =>
          log.moving.copy(
            pages.map((page) => (page.entries.length > 0 ? page : { ...page, homeEpoch: null })),
          ),
      },
    }),
  },
  'a page that is refused takes others along': {
    breaks: [PAGES, OLDER_HOME, YIELDED, CUT, LEASED],
    log: (log) => ({
      ...log,
      moving: {
        ...log.moving,
        async copy(pages) {
          for (const page of pages) {
            const [copied] = await log.moving.copy([page]);
            if (copied === undefined || !('refused' in copied)) continue;
            const { refused } = copied;
            return pages.map(({ partition }) => ({ partition, refused }));
          }
          return log.moving.copy(pages);
        },
      },
    }),
  },
  'what a copy passes over is not compared': {
    breaks: [PASSED_OVER],
    log: (log) => ({
      ...log,
      moving: {
        ...log.moving,
        async copy(pages) {
          const copied = await log.moving.copy(pages);
          return Promise.all(
            copied.map(async (one) => {
              if (!('refused' in one && one.refused.detail.includes('is not the one that stands')))
                return one;
              return { partition: one.partition, head: await log.moving.follow(one.partition), added: 0 };
            }),
          );
        },
      },
    }),
  },
};
