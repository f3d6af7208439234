// Times fork + exec + wait of a program from a small process: spawn-timer <count> <program> [argument…]
// Writes milliseconds, one a line. The program's output is thrown away.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int count = atoi(argv[1]);
  for (int i = 0; i < count; i++) {
    double started = now_ms();
    pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) {
      int null = open("/dev/null", O_RDWR);
      dup2(null, 0);
      dup2(null, 1);
      dup2(null, 2);
      execv(argv[2], argv + 2);
      _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) return 1;
    printf("%.3f\n", now_ms() - started);
  }
  return 0;
}
