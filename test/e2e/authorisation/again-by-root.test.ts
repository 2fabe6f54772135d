import { runAgainBy } from "./support/again.ts";

runAgainBy("setuid as root", "again-root");
