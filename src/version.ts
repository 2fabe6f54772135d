import packageJson from "../package.json" with { type: "json" };

/** The version of this program, as the job log and `--version` show it. */
export const version: string = packageJson.version;
