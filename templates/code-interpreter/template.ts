import { debianWith } from '../base/template.ts';

/** What the original has and Debian packages. */
const PYTHON = [
  'aiohttp',
  'bottleneck',
  'bs4',
  'docx',
  'h5py',
  'html5lib',
  'httpx',
  'imageio',
  'ipython',
  'joblib',
  'lxml',
  'matplotlib',
  'networkx',
  'nltk',
  'numba',
  'numexpr',
  'numpy',
  'opencv',
  'openpyxl',
  'orjson',
  'pandas',
  'pil',
  'plotly',
  'pypdf',
  'pytest',
  'requests',
  'scipy',
  'seaborn',
  'skimage',
  'sklearn',
  'soundfile',
  'statsmodels',
  'sympy',
  'tabulate',
  'tqdm',
  'xarray',
  'xlrd',
  'xlsxwriter',
  'yaml',
].map((name) => `python3-${name}`);

const R = ['r-base-core', 'r-cran-ggplot2', 'r-cran-jsonlite'];

/** Text in pictures, also that of Chinese, Japanese and Korean. */
const FONTS = ['fonts-dejavu-core', 'fonts-noto-cjk'];

export const about = { name: 'code-interpreter-v1', title: 'Code interpreter template' };

/** As the original's. */
export const size = { cpuCount: 2, memoryMB: 2048, minFreeDiskMb: 1024 };

/** `base` with what data analysis needs, and the server of the code interpreter, whose first contexts are in the snapshot. */
export const template = debianWith([...PYTHON, ...R, ...FONTS]).setStartCmd(
  'sudo /opt/code-interpreter/start',
  '/opt/code-interpreter/ready',
);
