import { onEveryScheduler } from "../e2e/schedulers/faults/case.ts";
import { badFiles } from "../e2e/schedulers/faults/files.ts";
import { misfortunes } from "../e2e/schedulers/faults/misfortunes.ts";

onEveryScheduler("what befalls jobs and their files", "side by side", [...badFiles, ...misfortunes]);
