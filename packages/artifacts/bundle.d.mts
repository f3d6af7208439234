/**
 * Writes the program of the thread that looks at archives, for tests; the build of Islet bundles it with everything else.
 * @param outFile ending with `.mjs`
 */
export function bundleInspector(outFile: string): Promise<void>;
