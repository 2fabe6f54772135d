import { runAgainBy } from "./support/again.ts";

runAgainBy("sudo", "again-sudo");
