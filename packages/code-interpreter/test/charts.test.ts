import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestInterpreter, type TestInterpreter } from './interpreter.ts';

let interpreter: TestInterpreter;

beforeAll(async () => {
  interpreter = await startTestInterpreter();
  await interpreter.sandbox.runCode(
    'import datetime\nimport matplotlib.pyplot as plt\nimport numpy as np\nimport pandas as pd',
  );
});

afterAll(() => interpreter?.close());

/** The only result of code that draws one figure. */
async function drawn(code: string) {
  const { results, error } = await interpreter.sandbox.runCode(code);
  expect(error?.traceback).toBeUndefined();
  expect(results).toHaveLength(1);
  return results[0] as (typeof results)[number];
}

// biome-ignore lint/suspicious/noExplicitAny: charts of many kinds
const chart = async (code: string): Promise<any> => (await drawn(code)).chart;

const NO_LABELS = { x_label: null, y_label: null, x_unit: null, y_unit: null };

it('gives a line chart, with its picture', async () => {
  const { chart, png, text, isMainResult } = await drawn(`
fig, ax = plt.subplots()
ax.plot([1, 2, 4], [0.1234567891, 2, float('nan')], label='measured')
ax.plot([1, 2], [3, 4])
ax.set(title='Speed', xlabel='Time (s)', ylabel='Speed [km/h]', xlim=(0, 4), ylim=(0, 4))
ax.set_xticks([0, 2, 4]); ax.set_yticks([0, 4], ['none', 'all'])
ax.axhline(1); ax.grid(True)
pass`);
  expect(
    Buffer.from(png as string, 'base64')
      .subarray(1, 4)
      .toString(),
  ).toBe('PNG');
  expect(text).toBe('<Figure size 640x480 with 1 Axes>');
  expect(isMainResult).toBe(false);
  expect(chart).toEqual({
    type: 'line',
    title: 'Speed',
    x_label: 'Time (s)',
    y_label: 'Speed [km/h]',
    x_unit: 's',
    y_unit: 'km/h',
    x_ticks: [0, 2, 4],
    x_tick_labels: ['0', '2', '4'],
    x_scale: 'linear',
    y_ticks: [0, 4],
    y_tick_labels: ['none', 'all'],
    y_scale: 'linear',
    elements: [
      {
        label: 'measured',
        points: [
          [1, 0.12345679],
          [2, 2],
          [4, null],
        ],
      },
      {
        label: 'Line 1',
        points: [
          [1, 3],
          [2, 4],
        ],
      },
    ],
  });
});

it('names the scales of axes', async () => {
  const scaled = (x: string, y: string) =>
    chart(`fig, ax = plt.subplots(); _ = ax.plot([0.1, 0.5]); ax.set_xscale('${x}'); ax.set_yscale('${y}')`);
  expect(await scaled('log', 'symlog')).toMatchObject({ x_scale: 'log', y_scale: 'symlog' });
  expect(await scaled('asinh', 'logit')).toMatchObject({ x_scale: 'asinh', y_scale: 'logit' });
});

it('writes dates in ISO form, and categories by name', async () => {
  const dates = await chart(
    '_ = plt.plot([datetime.datetime(2024, 5, 1, 12), datetime.datetime(2024, 5, 3)], ["lo", "hi"])',
  );
  expect(dates).toMatchObject({ x_scale: 'datetime', y_scale: 'categorical', y_ticks: ['lo', 'hi'] });
  expect(dates.elements[0].points).toEqual([
    ['2024-05-01T12:00:00', 'lo'],
    ['2024-05-03T00:00:00', 'hi'],
  ]);
  expect(dates.x_ticks).toContain('2024-05-02T00:00:00');
  expect(dates.x_tick_labels).toHaveLength(dates.x_ticks.length);
  const days = await chart('_ = pd.Series([1, 2], index=pd.date_range("2024-01-01", periods=2)).plot()');
  expect(days.elements[0].points).toEqual([
    ['2024-01-01T00:00:00', 1],
    ['2024-01-02T00:00:00', 2],
  ]);
  const zones = await chart('_ = plt.plot(pd.date_range("2024-01-01", periods=1, tz="Europe/Paris"), [1])');
  expect(zones.elements[0].points).toEqual([['2024-01-01T00:00:00+01:00', 1]]);
  const numpyDates = await chart('_ = plt.scatter(np.array(["2024-01-01"], dtype="datetime64"), [1])');
  expect(numpyDates).toMatchObject({ type: 'scatter', x_scale: 'datetime' });
  expect(numpyDates.elements).toEqual([{ label: 'Group 0', points: [['2024-01-01T00:00:00', 1]] }]);
});

it('gives a scatter chart', async () => {
  const scatter = await chart(`
plt.scatter([1, 2], [3, 4], label='first'); plt.scatter([5], [6], c=[1.0]); plt.colorbar(); _ = plt.axvline(2)`);
  expect(scatter).toMatchObject({ type: 'scatter', title: null, x_scale: 'linear', y_scale: 'linear' });
  expect(scatter.elements).toEqual([
    {
      label: 'first',
      points: [
        [1, 3],
        [2, 4],
      ],
    },
    { label: 'Group 1', points: [[5, 6]] },
  ]);
});

it('gives a bar chart, upright and lying, in groups, and of numbers', async () => {
  expect(await chart('_ = plt.bar(["a", "b"], [1, 2.5])')).toEqual({
    type: 'bar',
    title: null,
    ...NO_LABELS,
    elements: [
      { label: 'a', group: 'Group 0', value: 1 },
      { label: 'b', group: 'Group 0', value: 2.5 },
    ],
  });
  // Their heights are all alike, which says nothing.
  expect((await chart('_ = plt.bar(["a", "b"], [2, 2])')).elements).toMatchObject([
    { label: 'a' },
    { label: 'b' },
  ]);
  expect((await chart('_ = plt.barh(["a", "b"], [1, 2])')).elements).toMatchObject([
    { label: 'a', value: 1 },
    { label: 'b', value: 2 },
  ]);
  const grouped = await chart(`
at = np.arange(2)
plt.bar(at - .2, [1, 2], .4, label='men'); plt.bar(at + .2, [3, 4], .4, label='women')
_ = plt.xticks(at, ['north', 'south'])`);
  expect(grouped.elements).toEqual([
    { label: 'north', group: 'men', value: 1 },
    { label: 'south', group: 'men', value: 2 },
    { label: 'north', group: 'women', value: 3 },
    { label: 'south', group: 'women', value: 4 },
  ]);
  expect((await chart('_ = plt.hist([1, 2, 3], bins=2)')).elements).toEqual([
    { label: '1.5', group: 'Group 0', value: 1 },
    { label: '2.5', group: 'Group 0', value: 2 },
  ]);
});

it('gives a pie chart', async () => {
  expect(await chart('plt.pie([1, 3], labels=["x", "y"], autopct="%d"); _ = plt.title("Shares")')).toEqual({
    type: 'pie',
    title: 'Shares',
    elements: [
      { label: 'x', angle: 90, radius: 1 },
      { label: 'y', angle: 270, radius: 1 },
    ],
  });
});

it.each(['vertical', 'horizontal'])('gives boxes with whiskers, %s', async (orientation) => {
  const boxes = await chart(
    `_ = plt.boxplot([[1, 2, 3, 10], [2, 3, 4]], patch_artist=True, tick_labels=['A', 'B'], orientation='${orientation}')`,
  );
  expect(boxes).toMatchObject({ type: 'box_and_whisker', ...NO_LABELS });
  expect(boxes.elements).toEqual([
    {
      label: 'A',
      min: 1,
      first_quartile: 1.75,
      median: 2.5,
      third_quartile: 4.75,
      max: 4.75,
      outliers: [10],
    },
    { label: 'B', min: 2, first_quartile: 2.5, median: 3, third_quartile: 3.5, max: 4, outliers: [] },
  ]);
});

it('gives several axes as a superchart, twins as well', async () => {
  const several = await chart(`
fig, axes = plt.subplots(1, 2); fig.suptitle('Both')
axes[0].plot([1]); axes[0].set_title('left'); _ = axes[1].pie([1])`);
  expect(several).toMatchObject({
    type: 'superchart',
    title: 'Both',
    elements: [{ type: 'line', title: 'left' }, { type: 'pie' }],
  });
  const twins = await chart('fig, ax = plt.subplots(); ax.plot([1, 2]); _ = ax.twinx().bar([0, 1], [5, 6])');
  expect(twins.elements).toMatchObject([
    { type: 'line' },
    { type: 'bar', elements: [{ value: 5 }, { value: 6 }] },
  ]);
});

it('gives nothing of a blank figure, no elements of empty axes, and says what it does not know', async () => {
  expect(await chart('_ = plt.figure()')).toEqual({});
  expect(await chart('_ = plt.subplots()')).toMatchObject({ type: 'line', elements: [] });
  expect(await chart('_ = plt.imshow([[1, 2]])')).toEqual({ type: 'unknown', title: null, elements: [] });
});

it('closes figures with their cell, and shows each once', async () => {
  const { results } = await interpreter.sandbox.runCode(
    'plt.plot([1]); plt.show()\nplt.plot([2]); print(len(plt.get_fignums()))',
  );
  expect(results).toHaveLength(2);
  expect((await interpreter.sandbox.runCode('len(plt.get_fignums())')).text).toBe('0');
  expect(
    (await interpreter.sandbox.runCode('plt.plot([1]); plt.savefig("/dev/null", format="png"); plt.close()'))
      .results,
  ).toEqual([]);
});
