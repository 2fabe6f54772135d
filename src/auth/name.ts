/** The name of an account of this system, as one can be: no path, option, number or other account hides in it. */
export type AccountName = string & { readonly __brand: "AccountName" };

const mostCharacters = 32;

/**
 * Whether a text can be the name of an account: ASCII letters, digits, `_`, `.`, `-`; first a letter or `_`; not last a
 * `.`; at most 32 characters.
 *
 * It is what POSIX calls a portable user name (XBD 3.426), less what would be read as something else: `-x` (an option), `1000`
 * (a number, which getent, chown and sudo take for a user id), `..`, `.hidden`, and `name.`, which some file systems and
 * people take for `name`. 32 is the room for a name in utmp and the limit of Linux's useradd. Both cases of letters are taken, as
 * SSSD and useradd on request make them; the name service must then answer with the very same name. No `@` and `\`: SSSD
 * and Winbind take them for a domain. No trailing `$`: that is a machine's account of Samba.
 */
export function isAccountName(text: string): text is AccountName {
  return text.length <= mostCharacters && /^[A-Za-z_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?$/.test(text);
}

/**
 * Whether a text can be a login of GitLab: `PATH_REGEX_STR` of its `lib/gitlab/path_regex.rb`, at most 255 characters.
 * Wider than an account's name; such a login can run jobs only when RunAs maps it.
 */
export function isLogin(text: string): boolean {
  return text.length <= 255 && /^[A-Za-z0-9_.](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?$/.test(text) && !/^\.+$/.test(text);
}
