export interface DiskLimit {
  /** The folder that the work fills. */
  dir: string;
  /** Bytes that it may take. */
  roomBytes: number;
  diskUsage: (dir: string) => Promise<number>;
  /** What the work fails with if it takes more. */
  error: () => Error;
}

/** Between two looks, ms. */
const LOOK_EVERY_MS = 500;
/** Share of the time that looking may take: a folder of a million files takes long to add up. */
const LOOK_SHARE = 0.1;

/**
 * Does work that fills a folder, and ends it soon after the folder takes more than it may: for programs of ours that unpack no faster
 * than they decompress. The host's file systems have no limit for a folder without quotas, which few are set up for.
 * @throws what `error` gives, the signal's reason, or what the work throws.
 */
export async function withinDiskLimit<T>(
  { dir, roomBytes, diskUsage, error }: DiskLimit,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const exceeded = new AbortController();
  // Files come and go while they are counted.
  const used = () => diskUsage(dir).catch(() => 0);
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  const look = async () => {
    const startedAt = performance.now();
    if ((await used()) > roomBytes) exceeded.abort(error());
    else if (!over) plan((performance.now() - startedAt) / LOOK_SHARE);
  };
  const plan = (pauseMs: number) => {
    timer = setTimeout(() => void look(), Math.max(pauseMs, LOOK_EVERY_MS));
  };
  plan(LOOK_EVERY_MS);
  try {
    const result = await work(AbortSignal.any([signal, exceeded.signal]));
    if ((await used()) > roomBytes) throw error();
    return result;
  } catch (thrown) {
    signal.throwIfAborted();
    exceeded.signal.throwIfAborted();
    throw thrown;
  } finally {
    over = true;
    clearTimeout(timer);
  }
}
