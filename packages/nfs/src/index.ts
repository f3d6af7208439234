export { type MachineInNetwork, VolumeServerThread } from './thread.ts';
