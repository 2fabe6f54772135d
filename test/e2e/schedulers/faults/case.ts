import { after, before, describe, it } from "node:test";
import type { StandInKind } from "../../../harness/schedulers.ts";
import { PlayedCluster } from "../played-cluster.ts";

/** Something that goes wrong, and what must come of it. */
export interface FaultCase {
  readonly title: string;
  /** The schedulers that know it; without it all. */
  readonly kinds?: readonly StandInKind[];
  readonly run: (cluster: PlayedCluster) => Promise<void>;
}

/** Whether cases change what the scheduler answers to others: then they are for one at a time. */
export type Order = "one after the other" | "side by side";

/** The schedulers that are played. */
export const allKinds: readonly StandInKind[] = ["slurm", "flux", "pbs", "lsf"];
const atOnce = 4;

// Each cluster ends its controller when this process ends.
process.setMaxListeners(100);

/** Every case on every scheduler that knows it. */
export function onEveryScheduler(
  title: string,
  order: Order,
  cases: readonly FaultCase[],
  schedulersAtOnce: number = allKinds.length,
): void {
  describe(title, { concurrency: schedulersAtOnce }, () => {
    for (const kind of allKinds) {
      testOn(
        kind,
        order,
        cases.filter(({ kinds = allKinds }) => kinds.includes(kind)),
      );
    }
  });
}

/** Every case on one scheduler that knows it: the one that has the fewest so far. */
export function byTurns(title: string, order: Order, cases: readonly FaultCase[]): void {
  const shares: Record<StandInKind, FaultCase[]> = { slurm: [], flux: [], pbs: [], lsf: [] };
  for (const fault of cases) {
    const able = (fault.kinds ?? allKinds).map((kind) => shares[kind]);
    able.reduce((one, other) => (other.length < one.length ? other : one)).push(fault);
  }
  describe(title, { concurrency: allKinds.length }, () => {
    for (const kind of allKinds) if (shares[kind].length > 0) testOn(kind, order, shares[kind]);
  });
}

let count = 0;

function testOn(kind: StandInKind, order: Order, cases: readonly FaultCase[]): void {
  describe(kind, { concurrency: order === "side by side" ? atOnce : 1 }, () => {
    let cluster: PlayedCluster;
    before(async () => {
      count += 1;
      cluster = await PlayedCluster.open(kind, `faults-${count}`);
    });
    after(() => cluster.close());
    for (const { title, run } of cases) it(title, () => run(cluster));
  });
}
