/** The colours of GitLab Runner's job logs. */
export const ansi = {
  boldRed: "\x1b[31;1m",
  boldGreen: "\x1b[32;1m",
  boldCyan: "\x1b[36;1m",
  yellow: "\x1b[0;33m",
  reset: "\x1b[0;m",
} as const;
