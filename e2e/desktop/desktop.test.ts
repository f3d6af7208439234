import { CommandExitError, E2B, TimeoutError } from '@e2b/desktop';
import { beforeAll, describe, expect, it } from 'vitest';
import { until } from '../setup/until.ts';
import { newDesktop, options, sharedDesktop, sizeOfPng } from './desktop.ts';
import { Page } from './page.ts';

const desktop = sharedDesktop();

describe('the screen', () => {
  it('is in the snapshot: no sandbox starts its own', async () => {
    const { stdout } = await desktop.current.commands.run(
      'for name in Xvfb xfce4-session xfwm4 xfdesktop xfce4-panel; do pgrep -xc $name; done; stat -c %Y /proc/$(pgrep -x xfwm4) /proc/1',
    );
    expect(stdout.trim().split('\n').slice(0, 5)).toEqual(['1', '1', '1', '1', '1']);
  });

  it('has the size that the SDK asks for by default', async () => {
    expect(await desktop.current.getScreenSize()).toEqual({ width: 1024, height: 768 });
  });

  it('is given as bytes, as a blob and as a stream', async () => {
    const size = { width: 1024, height: 768 };
    expect(sizeOfPng(await desktop.current.screenshot())).toEqual(size);
    expect(sizeOfPng(await desktop.current.screenshot('bytes'))).toEqual(size);
    const blob = await desktop.current.screenshot('blob');
    expect(sizeOfPng(new Uint8Array(await blob.arrayBuffer()))).toEqual(size);
    const stream = await desktop.current.screenshot('stream');
    expect(sizeOfPng(new Uint8Array(await new Response(stream).arrayBuffer()))).toEqual(size);
  });

  it('leaves no pictures behind', async () => {
    await desktop.current.screenshot();
    const left = () => desktop.current.commands.run('ls /tmp | grep -c screenshot- || true');
    await expect.poll(async () => (await left()).stdout.trim()).toBe('0');
  });

  it('is another one if another one is asked for', async () => {
    await using other = await newDesktop({ resolution: [1280, 720], dpi: 120 });
    expect(await other.getScreenSize()).toEqual({ width: 1280, height: 720 });
    expect(sizeOfPng(await other.screenshot())).toEqual({ width: 1280, height: 720 });
    const { stdout } = await other.commands.run('pgrep -xa Xvfb; pgrep -xc xfwm4');
    expect(stdout.trim().split('\n')).toEqual([expect.stringContaining('1280x720x24 -retro -dpi 120'), '1']);
  });

  it('is on another display if another one is named', async () => {
    await using other = await newDesktop({ display: ':7' });
    expect(other.display).toBe(':7');
    expect(await other.getScreenSize()).toEqual({ width: 1024, height: 768 });
    const { stdout } = await other.commands.run('echo $DISPLAY; pgrep -xa Xvfb; pgrep -xc xfwm4');
    expect(stdout.trim().split('\n')).toEqual([':7', expect.stringContaining(' :7 -ac'), '1']);
  });

  it('is refused if there can be none', async () => {
    const absurd = newDesktop({ display: ':none' });
    await expect(absurd).rejects.toThrow(TimeoutError);
    await expect(absurd).rejects.toThrow('Could not start Xvfb');
  });

  it('can be had beside it', async () => {
    const { stdout } = await desktop.current.commands.run(
      'Xvfb :9 -screen 0 640x480x24 & sleep 3; xdpyinfo -display :9 | grep dimensions; kill $!; DISPLAY=:0 xdpyinfo | grep dimensions',
    );
    expect(stdout).toContain('640x480');
    expect(stdout).toContain('1024x768');
  });

  it('begins its session again after somebody logged out', async () => {
    await using other = await newDesktop();
    const session = async () => (await other.commands.run('pgrep -x xfce4-session || true')).stdout;
    const before = await session();
    await other.commands.run('pkill -x xfce4-session');
    await expect.poll(session).not.toBe(before);
    await expect.poll(session).toMatch(/^\d+\n$/);
    await expect.poll(() => other.getApplicationWindows('xfdesktop').catch(() => [])).not.toEqual([]);
  });

  it('is there after a pause, and through a client with settings of its own', async () => {
    const { Sandbox } = new E2B(options);
    const first = await Sandbox.create({ timeoutMs: 600_000 });
    try {
      await first.moveMouse(321, 123);
      await first.pause();
      const again = await Sandbox.connect(first.sandboxId);
      expect(await again.getCursorPosition()).toEqual({ x: 321, y: 123 });
      expect(sizeOfPng(await again.screenshot())).toEqual({ width: 1024, height: 768 });
    } finally {
      await first.kill();
    }
  });
});

describe('mouse and keyboard, in Chromium', () => {
  let page: Page;
  const events = () => page.events();
  beforeAll(async () => {
    page = await Page.serve(desktop.current);
    await desktop.current.launch('google-chrome', page.url);
    const has = (wanted: string) => (all: string[]) => all.includes(wanted);
    await until('the page is shown', 0, () => windowTitles('google-chrome'), has('Events - Chromium'));
    await until('the page is loaded', 0, events, has('loaded'));
  });

  const windowTitles = async (application: string) => {
    const { current } = desktop;
    const ids = await current.getApplicationWindows(application).catch((error: unknown) => {
      if (error instanceof CommandExitError) return [];
      throw error;
    });
    return Promise.all(ids.map((id) => current.getWindowTitle(id)));
  };

  it('moves the mouse', async () => {
    await desktop.current.moveMouse(400, 500);
    expect(await desktop.current.getCursorPosition()).toEqual({ x: 400, y: 500 });
  });

  it.each([
    ['leftClick', 0],
    ['middleClick', 1],
    ['rightClick', 2],
  ] as const)('%s presses and releases the button where it is told to', async (method, button) => {
    await page.forget();
    await desktop.current[method](450, 510);
    await expect.poll(events).toContain(`mouseup ${button} 450 510`);
    expect(await events()).toContain(`mousedown ${button} 450 510`);
  });

  it('clicks where the mouse is, if no place is named', async () => {
    await page.forget();
    await desktop.current.moveMouse(470, 520);
    await desktop.current.leftClick();
    await expect.poll(events).toContain('mouseup 0 470 520');
  });

  it('clicks twice', async () => {
    await page.forget();
    await desktop.current.doubleClick(480, 530);
    await expect.poll(events).toContain('dblclick 0 480 530');
  });

  it('drags', async () => {
    await page.forget();
    await desktop.current.drag([300, 400], [600, 550]);
    await expect.poll(events).toContain('mouseup 0 600 550');
    expect(await events()).toContain('mousedown 0 300 400');
  });

  it.each([
    [undefined, 0],
    ['right', 2],
  ] as const)('holds a button: %s', async (button, number) => {
    await page.forget();
    await desktop.current.moveMouse(500, 500);
    await desktop.current.mousePress(button);
    await expect.poll(events).toContain(`mousedown ${number} 500 500`);
    expect(await events()).not.toContain(`mouseup ${number} 500 500`);
    await desktop.current.mouseRelease(button);
    await expect.poll(events).toContain(`mouseup ${number} 500 500`);
  });

  it('scrolls', async () => {
    await desktop.current.moveMouse(500, 500);
    for (const direction of ['down', 'up'] as const) {
      await page.forget();
      await desktop.current.scroll(direction, 3);
      await expect.poll(events).toContain(`wheel ${direction}`);
    }
  });

  it('writes text, whatever is in it', async () => {
    const text = `"It's 100 %", she wrote; $HOME stays in Zürich`;
    await clickField();
    await desktop.current.write(text);
    await expect.poll(async () => lastText(await events())).toBe(text);
    await desktop.current.write('; slowly', { chunkSize: 3, delayInMs: 10 });
    await expect.poll(async () => lastText(await events())).toBe(`${text}; slowly`);
  });

  it('presses keys, alone and together', async () => {
    await clickField();
    await desktop.current.press(['ctrl', 'a']);
    await page.forget();
    await desktop.current.press('backspace');
    await expect.poll(async () => lastText(await events())).toBe('');
    await desktop.current.press(['Control', 'b']);
    await desktop.current.press('ENTER');
    await desktop.current.press('f');
    await expect.poll(events).toEqual(expect.arrayContaining(['key ctrl+b', 'key Enter', 'key f']));
  });

  it('tells which window is in front', async () => {
    const id = await desktop.current.getCurrentWindowId();
    expect(id).toMatch(/^\d+$/);
    expect(await desktop.current.getWindowTitle(id)).toBe('Events - Chromium');
  });

  /** The field is on top of the page, below the bars of Chromium. It has the keyboard when it says so. */
  async function clickField() {
    await desktop.current.leftClick(500, 600);
    await page.forget();
    await desktop.current.leftClick(500, 165);
    await expect.poll(events).toContain('focus');
  }

  const lastText = (lines: string[]) => {
    const found = lines.findLast((line) => line === 'text' || line.startsWith('text '));
    return found === undefined ? undefined : decodeURIComponent(found.slice('text '.length));
  };
});

describe('programs', () => {
  const titles = async (application: string) => {
    const ids = await desktop.current.getApplicationWindows(application).catch(() => []);
    return Promise.all(ids.map((id) => desktop.current.getWindowTitle(id)));
  };

  it('are launched by the names of their desktop files', async () => {
    await desktop.current.launch('xfce4-terminal');
    await expect.poll(() => titles('xfce4-terminal')).toContainEqual(expect.stringContaining('Terminal'));
  });

  it('open files and addresses', async () => {
    await desktop.current.files.write('/home/user/notes.txt', 'to be read');
    await desktop.current.open('/home/user/notes.txt');
    await expect.poll(() => titles('mousepad')).toContainEqual(expect.stringContaining('notes.txt'));
    await desktop.current.files.write('/home/user/opened.html', '<title>opened here</title>');
    await desktop.current.open('file:///home/user/opened.html');
    await expect.poll(() => titles('google-chrome')).toContainEqual(expect.stringContaining('opened here'));
  });

  it('that do not exist open nothing', async () => {
    await desktop.current.launch('no-such-program');
    await expect(desktop.current.getApplicationWindows('no-such-program')).rejects.toThrow(CommandExitError);
  });

  it('have windows only as long as they are there', async () => {
    await expect(desktop.current.getWindowTitle('999999999')).rejects.toThrow(CommandExitError);
  });
});

describe('waiting', () => {
  it('waits', async () => {
    await desktop.current.wait(50);
    await expect(desktop.current.wait(Number.NaN)).rejects.toThrow(CommandExitError);
  });

  it('asks a command until it says what is wanted, or the time is over', async () => {
    const command = 'echo x >> /tmp/asked; wc -l < /tmp/asked';
    expect(await desktop.current.waitAndVerify(command, ({ stdout }) => stdout.trim() === '3', 60, 0.1)).toBe(
      true,
    );
    expect(await desktop.current.waitAndVerify('false', () => true, 1, 0.2)).toBe(false);
  });
});
