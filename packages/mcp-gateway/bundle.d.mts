export function bundleGateway(outDir: string): Promise<void>;
