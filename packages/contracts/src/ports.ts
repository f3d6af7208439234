/** Default TCP ports, by the names operators of this kind of system know. */
export const PORTS = {
  api: 3000,
  clientProxy: 3002,
  sandboxProxy: 5007,
  orchestrator: 5008,
  templateManager: 5009,
  /** What edges in other processes ask the control plane at. */
  edgeLink: 5010,
  /** Inside each sandbox. */
  envd: 49983,
} as const;
