import { lstatSync, readdirSync } from "node:fs";

/** Of what one account has made under other names than its own, so many are looked at: users may be able to make what they like there. */
const mostOthers = 20;

/**
 * The names of those who may have files of jobs below a `data_dir` with a directory for each user: of each owner of a directory, once,
 * and a few names that somebody else has taken, so that whoever cleans up is told. So one user cannot have a million accounts asked for.
 *
 * @param nameOf the name of the account with a number; undefined where there is none.
 * Throws Node's error.
 */
export async function namesInDataDir(
  dataDir: string,
  nameOf: (uid: number) => Promise<string | undefined>,
): Promise<string[]> {
  const directories = readdirSync(dataDir).flatMap((name) => {
    const status = lstatSync(`${dataDir}/${name}`, { throwIfNoEntry: false });
    return status?.isDirectory() === true ? [{ name, uid: status.uid }] : [];
  });
  const names = new Set<string>();
  for (const [uid, made] of Map.groupBy(directories, (directory) => directory.uid)) {
    const owner = await nameOf(uid);
    if (owner !== undefined && made.some(({ name }) => name === owner)) names.add(owner);
    for (const { name } of made.filter((one) => one.name !== owner).slice(0, mostOthers)) names.add(name);
  }
  return [...names].toSorted();
}
