import { lstatSync, readdirSync } from "node:fs";

/** Of what one account has made under other names than its own, so many are looked at: users may be able to make what they like there. */
const mostOthers = 20;

/** Whose a directory is that cannot be looked at: not even root may, where a user has mounted a file system of their own (fuse(4)). */
export const closed = -1;

/**
 * The names of those who may have files of jobs below a `data_dir` with a directory for each user: of each owner of a directory, once,
 * and a few names that somebody else has taken, so that whoever cleans up is told. So one user cannot have a million accounts asked for.
 *
 * @param nameOf the name of the account with a number; undefined where there is none.
 * @param look whose a directory is; {@link closed} where that cannot be seen, undefined for what is no directory.
 * Throws Node's error.
 */
export async function namesInDataDir(
  dataDir: string,
  nameOf: (uid: number) => Promise<string | undefined>,
  look: (path: string) => number | undefined = ownerOf,
): Promise<string[]> {
  const directories = readdirSync(dataDir).flatMap((name) => {
    const uid = look(`${dataDir}/${name}`);
    return uid === undefined ? [] : [{ name, uid }];
  });
  const names = new Set<string>();
  for (const [uid, made] of Map.groupBy(directories, (directory) => directory.uid)) {
    const owner = uid === closed ? undefined : await nameOf(uid);
    if (owner !== undefined && made.some(({ name }) => name === owner)) names.add(owner);
    for (const { name } of made.filter((one) => one.name !== owner).slice(0, mostOthers)) names.add(name);
  }
  return [...names].toSorted();
}

function ownerOf(path: string): number | undefined {
  try {
    const status = lstatSync(path, { throwIfNoEntry: false });
    return status?.isDirectory() === true ? status.uid : undefined;
  } catch {
    return closed;
  }
}
