// Prints the status that a URL answers with, or 000 if nothing does: as `curl -s -o /dev/null -w '%{http_code}'`.
const status = await fetch(process.argv[2] ?? '', { redirect: 'manual' }).then(
  async (response) => {
    await response.body?.cancel();
    return String(response.status);
  },
  () => '000',
);
process.stdout.write(status);
process.exit(status === '000' ? 7 : 0);

export {};
