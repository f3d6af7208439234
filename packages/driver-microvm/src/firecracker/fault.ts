/** Longest part of what Firecracker says of a fault that is shown, in characters. */
const MAX_SHOWN = 1000;

/** What an answer of Firecracker's API says of a fault, shortened; undefined if it says nothing that can be read. One that was taken over may say anything. */
export function faultMessage(answer: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(answer);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('fault_message' in value)) return undefined;
  const message = value.fault_message;
  return typeof message === 'string' ? message.slice(0, MAX_SHOWN) : undefined;
}
