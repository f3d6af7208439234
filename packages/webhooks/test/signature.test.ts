import { createHmac } from 'node:crypto';
import { expect, it } from 'vitest';
import { signature, timedSignature } from '../src/index.ts';

// The protocol's worked example.
const SECRET = 'whsec-demo-0123456789abcdef-32chars';
const BODY =
  '{"id":"cf90f3ef-c69c-4c1a-9d0e-6a1f0c3b2a11","version":"v2","type":"sandbox.lifecycle.created","timestamp":"2026-11-29T12:00:00Z","sandbox_id":"i1abc2def3ghi4jkl5mno"}';

it('signs as the protocol’s worked example', () => {
  expect([SECRET.length, BODY.length]).toEqual([35, 167]);
  expect(signature(SECRET, BODY)).toBe('mC69NmRpVRwpTZ0JK7Ne6SiHHVBQCw/2mYetIMrsJSA');
});

it('signs the bytes of what is no ASCII', () => {
  const twice = [signature('geheimß', '{"ä":"é"}'), signature('geheimß', '{"ä":"é"}')];
  expect(twice[0]).toBe(twice[1]);
  expect(twice[0]).toHaveLength(43);
});

it('signs the time too, in a header of its own', () => {
  const mac = createHmac('sha256', SECRET).update(`1800000000.${BODY}`).digest('hex');
  expect(timedSignature(SECRET, BODY, 1_800_000_000)).toBe(`t=1800000000,v1=${mac}`);
});
