/** Mutants of what a log does for regions: see log-mutants.ts. */
import type { LogMutant } from './log-mutants.ts';

export const FLOOR = 'a floor lifts the epoch of whoever opens or adopts, and never lowers it';

const PAGES = 'pages of several partitions are copied at once, and one that is refused hinders no other';
const OLDER_HOME = 'a copy takes nothing of an older home, and remembers the one that spoke last';
const PASSED_OVER = 'what a copy passes over must be what stands there';

const YIELDED = 'a home that others have taken over is followed as a copy, whatever stands there';

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
    breaks: [PAGES, OLDER_HOME],
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
