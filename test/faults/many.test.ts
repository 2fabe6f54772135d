import { onEveryScheduler } from "../e2e/schedulers/faults/case.ts";
import { manyJobs } from "../e2e/schedulers/faults/many.ts";

onEveryScheduler("many jobs at once", "one after the other", [manyJobs(100)], 1);
