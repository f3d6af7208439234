export { ConsulAgent, type ConsulAgentOptions, ConsulError } from './agent.ts';
export { keepRegistered, type Registration, type ServiceEntry } from './registration.ts';
export { type ServiceInstance, type ServiceListener, watchService } from './watch.ts';
