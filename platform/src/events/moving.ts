/** Partitions come and go while a log is open: see `Moving` and copies.ts. */
import type { GroupCommit } from './group-commit.ts';
import type { Head, Moving, PartitionKey } from './log.ts';
import type { CopyAnswer, CopyRequest } from './wire.ts';

export interface MovingGround {
  readonly commits: GroupCommit;
  readonly request: (body: CopyRequest) => Promise<unknown>;
  /** Tells appends that were refused at the door and have nothing before them any more. */
  readonly tellRefusals: () => void;
  readonly onReport: (report: unknown) => void;
  /** The partition has gone, or come: whatever was known of it rests on another time. */
  readonly left: (partition: PartitionKey) => void;
}

export interface OpenMoving {
  readonly moving: Moving;
  /** Partitions that are followed. */
  readonly copies: ReadonlySet<PartitionKey>;
}

export function openMoving(copies: Set<PartitionKey>, ground: MovingGround): OpenMoving {
  const { commits, request, tellRefusals, onReport, left } = ground;

  async function untilTold(partition: PartitionKey): Promise<void> {
    while (commits.isWaiting(partition)) {
      tellRefusals();
      await commits.settled(partition).catch(() => undefined);
    }
  }

  async function taken(partition: PartitionKey, asked: CopyRequest): Promise<Head> {
    const head = (await request(asked)) as Head;
    copies.add(partition);
    return head;
  }

  return {
    copies,
    moving: {
      begin: (partition) => taken(partition, { kind: 'begin', partition }),
      follow: (partition, aboveEpoch = 0) => taken(partition, { kind: 'follow', partition, aboveEpoch }),
      abandon: (partition) => void copies.delete(partition),
      tend: (partition, message) => request({ kind: 'tend', partition, message }),
      async copy(pages) {
        const { copied, report } = (await request({ kind: 'copy', pages })) as CopyAnswer;
        if (report !== null) onReport(report);
        return copied;
      },
      async release(partition) {
        commits.part(partition);
        await untilTold(partition);
        const head = (await request({ kind: 'release', partition })) as Head;
        copies.add(partition);
        tellRefusals();
        commits.leave(partition);
        left(partition);
        return head;
      },
      async unseat(partition) {
        await untilTold(partition);
        const head = await taken(partition, { kind: 'unseat', partition });
        commits.leave(partition);
        left(partition);
        return head;
      },
      async adopt(partition, epoch, floor = 0) {
        const head = (await request({ kind: 'adopt', partition, epoch, floor })) as Head;
        copies.delete(partition);
        tellRefusals();
        commits.enter(head);
        left(partition);
        return head;
      },
      cut: async (head, afterPosition, entriesMax) =>
        (await request({ kind: 'cut', head, afterPosition, entriesMax })) as Head,
      async drop(partition, entriesMax) {
        copies.delete(partition);
        return (await request({ kind: 'drop', partition, entriesMax })) as number;
      },
    },
  };
}
