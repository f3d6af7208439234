/**
 * The operator's way to registries, as the environment has it for all programs: `HTTPS_PROXY` (a URL, or `host:port`), and `NO_PROXY`, hosts
 * that are reached without it (`registry.example`, with all below it; `.example`; `*`).
 * @returns what a registry (`host` or `host:port`) is reached through; undefined: nothing
 * @throws Error if the proxy is no address.
 */
export function registryProxy(environment: NodeJS.ProcessEnv): (registry: string) => URL | undefined {
  const text = environment.HTTPS_PROXY || environment.https_proxy;
  if (!text) return () => undefined;
  const address = text.includes('://') ? text : `http://${text}`;
  if (!URL.canParse(address)) {
    throw new Error('HTTPS_PROXY is not an address, such as http://proxy.example:3128');
  }
  const proxy = new URL(address);
  const without = (environment.NO_PROXY || environment.no_proxy || '').split(',').map((name) => name.trim());
  return (registry) => (without.some((name) => matches(registry, name)) ? undefined : proxy);
}

function matches(registry: string, name: string): boolean {
  if (name === '' || name === '*') return name === '*';
  const host = name.includes(':') ? registry : registry.replace(/:\d+$/, '');
  return host === name || host.endsWith(name.startsWith('.') ? name : `.${name}`);
}
