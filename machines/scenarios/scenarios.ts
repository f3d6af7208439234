import { UBUNTU_24_04 } from '../image/recipe.ts';
import { KVM_HARDWARE, microvmUnderKvm } from './kvm.ts';
import { checkoutService, debianPackage, npmPackage } from './packages.ts';
import { fullForm, setUpForm, shortForm } from './readme.ts';
import type { Scenario } from './scenario.ts';
import { variations } from './variations.ts';

/** All machines, in the order in which they are run. */
export const scenarios: readonly Scenario[] = [
  {
    name: 'debian-13-short',
    description: 'the README on a fresh Debian 13: clone, first start, curl, a command',
    image: 'fresh',
    run: shortForm,
  },
  {
    name: 'debian-13',
    description: "that, the SDK's core, restarts of Islet and of the machine, and what a stop leaves",
    image: 'fresh',
    run: fullForm,
  },
  {
    name: 'debian-13-set-up',
    description: 'the same, beginning with the first start on a machine where ./islet setup has been run',
    image: 'prepared',
    run: setUpForm,
  },
  {
    name: 'ubuntu-24.04',
    description: 'that on Ubuntu 24.04, with Node.js and runsc from elsewhere',
    image: 'prepared',
    recipe: UBUNTU_24_04,
    run: setUpForm,
  },
  {
    name: 'debian-13-kvm',
    description:
      'sandboxes as virtual machines under a KVM that works, the driver contract and e2e/microvm there',
    image: 'contributor',
    hardware: KVM_HARDWARE,
    run: microvmUnderKvm,
  },
  ...variations,
  {
    name: 'debian-package',
    description: 'apt-get install, a sandbox through the service, a crash, a reboot, remove, purge',
    image: 'fresh',
    run: debianPackage,
  },
  {
    name: 'npm-package',
    description: 'npm install --global, islet up, islet service: a crash, a reboot, uninstall',
    image: 'fresh',
    run: npmPackage,
  },
  {
    name: 'service',
    description: 'islet service of a checkout: a crash, a reboot, uninstall',
    image: 'prepared',
    run: checkoutService,
  },
];
