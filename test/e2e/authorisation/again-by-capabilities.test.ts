import { runAgainBy } from "./support/again.ts";

runAgainBy("setuid with capabilities", "again-caps");
