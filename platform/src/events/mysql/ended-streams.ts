/** Guards the versions that stand in segments, where no index does: asked for the first event of each stream of a batch. */
import type { SqlSession } from '../../host/sql.ts';
import { type Following, refusedVersion } from '../commit.ts';
import { bytesOf, textOf } from './reader.ts';

export interface EndedStreams {
  /** Commits look from now on: whether a segment stands that was about to may not be known for a while. */
  mayBeThere(): void;
  /** A partition came that may bring some: the next commit finds out whether commits have to look. */
  lookAgain(): void;
  /**
   * Last versions of those streams that have ended.
   * @throws Refused for a version that stands in segments
   */
  versions(session: SqlSession, firsts: readonly Following[]): Promise<ReadonlyMap<string, number>>;
}

const LOOKED_UP_MAX = 200;

export function endedStreams(): EndedStreams {
  /** Null when it must be found out; nobody else ends streams of what is at home here. */
  let areThere: boolean | null = null;
  return {
    mayBeThere() {
      areThere = true;
    },
    lookAgain() {
      areThere ||= null;
    },
    async versions(session, firsts) {
      const ended = new Map<string, number>();
      areThere ??= (await session.rows('SELECT 1 FROM log_ended_streams LIMIT 1')).length > 0;
      if (!areThere) return ended;
      for (let i = 0; i < firsts.length; i += LOOKED_UP_MAX) {
        const some = firsts.slice(i, i + LOOKED_UP_MAX);
        const any = some.map(() => '(partition_key = ? AND stream = ?)').join(' OR ');
        const rows = await session.rows(
          `SELECT stream, version FROM log_ended_streams WHERE ${any}`,
          some.flatMap(({ entry }) => [entry.partition, bytesOf(entry.stream)]),
        );
        for (const { stream, version } of rows) ended.set(textOf(stream), version as number);
      }
      for (const { append, entry } of firsts)
        if ((entry.version as number) <= (ended.get(entry.stream) ?? 0)) throw refusedVersion(append, entry);
      return ended;
    },
  };
}
