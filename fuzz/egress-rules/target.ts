import { parseEgress } from '../../packages/api/src/sandboxes/network-rules.ts';
import { IsletError } from '../../packages/contracts/src/index.ts';
import type { Slot } from '../../packages/network/src/addresses.ts';
import { egressScript } from '../../packages/network/src/rules.ts';
import type { FuzzTarget } from '../target.ts';

const SLOT: Slot = {
  index: 7,
  netns: 'islet-fuzz-7',
  hostInterface: 'islet7',
  hostAddress: '10.64.0.1',
  sandboxAddress: '10.64.0.2',
  sandboxMac: '02:00:00:00:00:07',
};

/** The only lines that an owner's rules may become, whatever the owner wrote. */
const LINE =
  /^(?:(?:add|flush|delete) chain inet islet_fuzz owner_7|add rule inet islet_fuzz owner_7 ip daddr \d{1,3}(?:\.\d{1,3}){3}(?:\/\d{1,2})? jump (?:permit|refuse)|add element inet islet_fuzz owners \{ "islet7" : jump owner_7 \})$/;

/** Lines of `+` or `-` and an address, and one of `0` for no internet access. */
export const target: FuzzTarget = {
  description: "what a sandbox's owner lets it reach, which becomes rules of the host's firewall",
  run(input) {
    const lines = input.toString('utf8').split('\n').slice(0, 100);
    const marked = (mark: string) => lines.filter((line) => line[0] === mark).map((line) => line.slice(1));
    const rules = { allowOut: marked('+'), denyOut: marked('-') };
    const access = lines.includes('0') ? { allow_internet_access: false } : {};
    let egress: ReturnType<typeof parseEgress>;
    try {
      egress = parseEgress({ ...rules, ...access }, '');
    } catch (error) {
      if (error instanceof IsletError && error.status < 500) return;
      throw error;
    }
    for (const line of egressScript('fuzz', SLOT, egress, { chain: false, gated: false }).split('\n')) {
      if (line !== '' && !LINE.test(line)) throw new Error(`a rule '${line}'`);
    }
  },
};
