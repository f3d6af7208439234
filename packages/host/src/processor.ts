import { readFile } from 'node:fs/promises';
import { arch } from 'node:os';

/** The host's processor, as Linux and container images name it. What is not known is empty. */
export interface Processor {
  family: string;
  model: string;
  modelName: string;
  architecture: string;
}

/** What programs may find that a processor can, beside its architecture. */
export interface ProcessorFeatures {
  architecture: string;
  /** By the kernel's names, in order. */
  features: string[];
}

/** Node's names of architectures if those of container images differ. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };

export async function readProcessor(): Promise<Processor> {
  return parseProcessor(await readFile('/proc/cpuinfo', 'utf8'), arch());
}

export async function readProcessorFeatures(): Promise<ProcessorFeatures> {
  return parseProcessorFeatures(await readFile('/proc/cpuinfo', 'utf8'), arch());
}

/**
 * Instructions of x86-64 that programs look for and go on to use. The kernel's list also has what it uses itself, its mitigations and
 * names of its own: those change with the kernel, on the same processor.
 */
const INSTRUCTIONS =
  /^(?:abm|adx|aes|amx_\w+|apx\w*|avx\w*|bmi[12]|cl(?:flush|flushopt|wb|zero|demote)|cmov|cx16|cx8|enqcmd|erms|f16c|fma4?|fs(?:gsbase|rm)|fxsr|gfni|hle|lahf_lm|lwp|mmx|mmxext|misalignsse|mov(?:be|diri|dir64b)|pclmulqdq|pku|pni|popcnt|prefetchwt1|ptwrite|rd(?:pid|rand|seed|tscp)|rtm|serialize|sha\w+|sm[34]|sse\w*|ssse3|tbm|tsxldtrk|vaes|vpclmulqdq|waitpkg|xgetbv1|xop|xsave\w*|3dnow\w*)$/;

/** Reads /proc/cpuinfo; an Arm machine's table has nothing but what programs see. */
export function parseProcessorFeatures(table: string, nodeArch: string): ProcessorFeatures {
  const fields = firstOf(table);
  const flags = fields.get('flags')?.split(/\s+/);
  const features = flags
    ? flags.filter((flag) => INSTRUCTIONS.test(flag))
    : (fields.get('features')?.split(/\s+/) ?? []);
  const unique = [...new Set(features)].filter((feature) => feature !== '');
  return { architecture: ARCHITECTURES[nodeArch] ?? nodeArch, features: unique.sort() };
}

/** Reads /proc/cpuinfo, of whose processors the first speaks for all. Arm's table names its fields otherwise. */
export function parseProcessor(table: string, nodeArch: string): Processor {
  const fields = firstOf(table);
  return {
    family: fields.get('cpu family') ?? fields.get('cpu architecture') ?? '',
    model: fields.get('model') ?? fields.get('cpu part') ?? '',
    modelName: fields.get('model name') ?? '',
    architecture: ARCHITECTURES[nodeArch] ?? nodeArch,
  };
}

function firstOf(table: string): Map<string, string> {
  const [first = ''] = table.trim().split('\n\n');
  return new Map(
    first.split('\n').map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
}
