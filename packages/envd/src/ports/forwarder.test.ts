import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { PortForwarder } from './forwarder.ts';

let scans: number;
let hasProcesses: boolean;
let forwarder: PortForwarder;

beforeEach(() => {
  vi.useFakeTimers();
  scans = 0;
  hasProcesses = true;
  forwarder = new PortForwarder({
    listeners: () => {
      scans++;
      return [];
    },
    address: () => '127.0.0.1',
    hasProcesses: () => hasProcesses,
    excluded: new Set(),
    onError: (error) => {
      throw error;
    },
  });
});
afterEach(() => {
  forwarder.close();
  vi.useRealTimers();
});

const scansIn = (ms: number) => {
  const before = scans;
  vi.advanceTimersByTime(ms);
  return scans - before;
};

it('looks every second after something happened, and seldom when nothing new was found for half a minute', () => {
  forwarder.wake();
  expect(scansIn(30_000)).toBe(30);
  expect(scansIn(60_000)).toBe(12);
  forwarder.wake();
  expect(scansIn(10_000)).toBe(10);
  forwarder.wake(); // a second one does not put the next scan off
  expect(scansIn(1_000)).toBe(1);
});

it('looks no more when there is no process, until it is woken', () => {
  forwarder.wake();
  scansIn(5_000);
  hasProcesses = false;
  expect(scansIn(60_000)).toBe(0);
  hasProcesses = true;
  expect(scansIn(60_000)).toBe(0);
  forwarder.wake();
  expect(scansIn(1_000)).toBe(1);
});
