/**
 * By which the job file is told to end what it runs, where a scheduler sends signals to all of a job's processes. Nothing minds
 * this one but the job file: a Podman client that got SIGTERM would leave before the container's last words.
 */
export const softSignal = "URG";
