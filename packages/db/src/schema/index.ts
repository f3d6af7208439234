export * from './cluster.ts';
export * from './keys.ts';
export * from './limits.ts';
export * from './paused.ts';
export * from './teams.ts';
export * from './templates.ts';
export * from './tiers.ts';
export * from './volumes.ts';
