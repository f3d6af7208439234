import type { Sandbox } from 'e2b';

/** Runs shell commands at once and prints for each its exit code and the end of what it said, as JSON. */
const AT_ONCE = `
import concurrent.futures, json, subprocess, sys
def run(command):
    try:
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
        return [done.returncode, done.stdout[-500:]]
    except subprocess.TimeoutExpired:
        return [124, ""]
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(json.dumps(list(pool.map(run, json.load(sys.stdin)))))
`;

/** A program in Python or C that a test runs inside, with the name that it has there. */
export interface Program {
  name: `${string}.py` | `${string}.c`;
  source: string;
}

/** Readies a sandbox: the authority of the servers out there, and the program that runs commands. */
export async function furnish(sandbox: Sandbox, authority: string): Promise<void> {
  await sandbox.files.write([
    { path: '/tmp/ca.pem', data: authority },
    { path: '/tmp/at-once.py', data: AT_ONCE },
  ]);
}

export interface Outcome {
  ok: boolean;
  text: string;
}

/** What becomes of shell commands, all run at once. */
export async function attempt(
  sandbox: Sandbox,
  commands: readonly string[],
  user = 'user',
): Promise<Outcome[]> {
  await sandbox.files.write('/tmp/commands.json', JSON.stringify(commands), { user });
  const { stdout } = await sandbox.commands.run('python3 /tmp/at-once.py < /tmp/commands.json', {
    user,
    // The C library's own patience with a resolver that does not answer is 20 s.
    envs: { RES_OPTIONS: 'timeout:1 attempts:1' },
    timeoutMs: 90_000,
  });
  return (JSON.parse(stdout) as [number, string][]).map(([code, text]) => ({ ok: code === 0, text }));
}

/** Runs a program as root; what it says is its own business. */
export async function runProgram(
  sandbox: Sandbox,
  { name, source }: Program,
  ...args: string[]
): Promise<string> {
  const path = `/tmp/${name}`;
  await sandbox.files.write(path, source, { user: 'root' });
  const program = name.endsWith('.c') ? `gcc -o ${path}.out ${path} && ${path}.out` : `python3 ${path}`;
  const { stdout } = await sandbox.commands.run(`(${program} ${args.join(' ')}) 2>&1 || true`, {
    user: 'root',
    timeoutMs: 60_000,
  });
  return stdout;
}

/** A shell command that fetches something, and fails if it cannot. */
export function curl(url: string, ...options: string[]): string {
  return ['curl', '-sS', '-g', '-m', '6', '--cacert', '/tmp/ca.pem', ...options, `'${url}'`].join(' ');
}

/** One that reads what a server says first. */
export function greeting(host: string, port: number): string {
  return `timeout 6 bash -c 'exec 3<>/dev/tcp/${host}/${port}; echo hello >&3; grep -q publickey <&3'`;
}

/** One that asks a server that echoes datagrams. */
export function datagram(host: string, port: number, text = 'probe'): string {
  const ask = `import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.sendto(b"${text}", ("${host}", ${port})); print(s.recv(99).decode())`;
  return `python3 -c '${ask}'`;
}
