/** How a server of tools is started: a program that speaks MCP on stdin and stdout. */
export interface ServerCommand {
  /** The name that the client's configuration has for it. */
  name: string;
  command: string;
  args: string[];
  env: Record<string, string>;
  cwd: string;
}

/** Where the gateway finds what, all paths absolute. */
export interface Places {
  /** One folder a server that comes with the gateway. */
  servers: string;
  /** What is cloned for `github/…`. */
  repositories: string;
  /** Where servers start, and keep what they keep. */
  home: string;
}
