/* An evaluator that behaves as its arguments ask, one-shot or persistent.
 *
 *   --persistent          answer request lines until stdin ends; else compute EVALSWEEP_* once
 *   --reply-by-path       persistent: reply through EVALSWEEP_REPLY_PATH
 *   --units N             persistent: exit after N replies
 *   --count-file PATH     append "checkpoint layer task\n" for each unit, in one write
 *   --dump-env PATH       write the environment, a variable a line
 *   --dump-args PATH      write the arguments, one a line
 *   --own-marker          write done.json into the output folder
 *   --marker TEXT         the same, with these members in it
 *   --no-result           one-shot: no result.json
 *   --attributes JSON     these attributes in the reply or the result.json
 *   --load-ms N           take N ms for each checkpoint that is not the last one's
 *   --sleep-ms N          take N ms for each unit
 *   --hold PATH           open PATH for writing, and keep it open
 *
 * What it does wrong, to each unit or only to those whose "checkpoint/layer/task" has a part:
 *   --fail-unit PART      the wrongs below happen to such units only; alone: --error or --exit 1
 *   --fail-attempts N     and only to the first N attempts
 *   --error [--retry]     reply with status error (persistent)
 *   --exit N              exit with N          --signal N            die by signal N
 *   --hang                never end            --ignore-term         ignore SIGTERM
 *   --garbage             reply no JSON        --wrong-unit          reply for another unit
 *   --nan                 a score of NaN       --twice               reply twice
 *   --die-mid-line        half a reply, then exit 0
 *   --reply-then-exit N   a whole reply, then exit N
 *   --big-reply BYTES     a reply of so many bytes, without a newline
 *   --close-stdin         stop reading, and stay
 *   --close-reply         close the reply descriptor in place of a reply, and stay
 *   --fork-grandchild     leave a child behind that sleeps
 *   --print TEXT          print TEXT and a newline on stdout, and TEXT on stderr
 *   --spam BYTES          print so many bytes
 *
 * The score of a unit is a hash of its names: tests compute it too (see score_of).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct options {
    bool persistent, reply_by_path, own_marker, no_result;
    bool error, retry, hang, ignore_term, garbage, wrong_unit, nan, twice, die_mid_line;
    bool close_stdin, close_reply, fork_grandchild, reply_then_exit;
    long units, load_ms, sleep_ms, exit_code, signal, fail_attempts, then_code;
    long spam_bytes, big_reply_bytes;
    const char *marker, *attributes, *count_file, *dump_env, *dump_args, *hold, *fail_unit, *print;
};

struct unit {
    long id;
    char checkpoint[256], task[256], output_dir[4096];
    long layer, attempt;
};

static struct options options = {.exit_code = -1};
static char last_checkpoint[256];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "fake_evaluator: %s: %s\n", what, strerror(errno));
    exit(99);
}

static void write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno != EINTR)
            die("write");
        if (done > 0) {
            bytes += done;
            n -= (size_t)done;
        }
    }
}

static void write_file(const char *path, const char *text, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    if (fd < 0)
        die(path);
    write_all(fd, text, strlen(text));
    (void)close(fd);
}

static void sleep_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (ms > 0 && nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

static _Noreturn void sleep_for_ever(void)
{
    for (;;)
        (void)pause();
}

/* FNV-1a of "checkpoint/layer/task", in [0, 1), with six decimals. */
static double score_of(const struct unit *unit)
{
    char name[600];
    (void)snprintf(name, sizeof name, "%s/%ld/%s", unit->checkpoint, unit->layer, unit->task);
    uint64_t hash = 14695981039346656037ULL;
    for (const char *p = name; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 1099511628211ULL;
    return (double)(hash % 1000000) / 1e6;
}

/* ------------------------------------------------------------------------------ options */

struct option_row {
    const char *name;
    bool *flag;
    long *number;
    const char **text;
};

static const struct option_row rows[] = {
    {"--persistent", &options.persistent, NULL, NULL},
    {"--reply-by-path", &options.reply_by_path, NULL, NULL},
    {"--units", NULL, &options.units, NULL},
    {"--count-file", NULL, NULL, &options.count_file},
    {"--dump-env", NULL, NULL, &options.dump_env},
    {"--dump-args", NULL, NULL, &options.dump_args},
    {"--own-marker", &options.own_marker, NULL, NULL},
    {"--marker", NULL, NULL, &options.marker},
    {"--attributes", NULL, NULL, &options.attributes},
    {"--no-result", &options.no_result, NULL, NULL},
    {"--load-ms", NULL, &options.load_ms, NULL},
    {"--sleep-ms", NULL, &options.sleep_ms, NULL},
    {"--hold", NULL, NULL, &options.hold},
    {"--fail-unit", NULL, NULL, &options.fail_unit},
    {"--fail-attempts", NULL, &options.fail_attempts, NULL},
    {"--error", &options.error, NULL, NULL},
    {"--retry", &options.retry, NULL, NULL},
    {"--exit", NULL, &options.exit_code, NULL},
    {"--signal", NULL, &options.signal, NULL},
    {"--hang", &options.hang, NULL, NULL},
    {"--ignore-term", &options.ignore_term, NULL, NULL},
    {"--garbage", &options.garbage, NULL, NULL},
    {"--wrong-unit", &options.wrong_unit, NULL, NULL},
    {"--nan", &options.nan, NULL, NULL},
    {"--twice", &options.twice, NULL, NULL},
    {"--die-mid-line", &options.die_mid_line, NULL, NULL},
    {"--reply-then-exit", &options.reply_then_exit, &options.then_code, NULL},
    {"--big-reply", NULL, &options.big_reply_bytes, NULL},
    {"--close-stdin", &options.close_stdin, NULL, NULL},
    {"--close-reply", &options.close_reply, NULL, NULL},
    {"--fork-grandchild", &options.fork_grandchild, NULL, NULL},
    {"--print", NULL, NULL, &options.print},
    {"--spam", NULL, &options.spam_bytes, NULL},
};

static void parse_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t k = 0, n = sizeof rows / sizeof rows[0];
        while (k < n && strcmp(rows[k].name, argv[i]) != 0)
            k++;
        if (k == n && argv[i][0] != '-')
            continue; /* for tests of placeholders */
        errno = EINVAL;
        if (k == n || ((rows[k].number || rows[k].text) && i + 1 == argc))
            die(argv[i]);
        if (rows[k].flag)
            *rows[k].flag = true;
        if (rows[k].number)
            *rows[k].number = strtol(argv[++i], NULL, 10);
        if (rows[k].text)
            *rows[k].text = argv[++i];
    }
}

static bool does_wrong(void)
{
    return options.error || options.exit_code >= 0 || options.signal || options.hang ||
           options.garbage || options.wrong_unit || options.nan || options.twice ||
           options.die_mid_line || options.reply_then_exit || options.big_reply_bytes ||
           options.close_stdin || options.close_reply || options.fork_grandchild || options.print ||
           options.spam_bytes;
}

/* --fail-unit alone: the plainest failure. */
static void choose_failure(void)
{
    if (!options.fail_unit || does_wrong())
        return;
    if (options.persistent)
        options.error = true;
    else
        options.exit_code = 1;
}

static void dump(const char *path, char **texts)
{
    if (!path)
        return;
    write_file(path, "", O_TRUNC);
    for (; *texts; texts++) {
        write_file(path, *texts, O_APPEND);
        write_file(path, "\n", O_APPEND);
    }
}

/* ------------------------------------------------------------------------------ units */

static bool goes_wrong(const struct unit *unit)
{
    char name[600];
    (void)snprintf(name, sizeof name, "%s/%ld/%s", unit->checkpoint, unit->layer, unit->task);
    if (options.fail_unit && !strstr(name, options.fail_unit))
        return false;
    return options.fail_attempts <= 0 || unit->attempt <= options.fail_attempts;
}

static void spam(long n_bytes)
{
    char line[4096];
    memset(line, 'x', sizeof line);
    for (size_t i = 63; i < sizeof line; i += 64)
        line[i] = '\n';
    while (n_bytes > 0) {
        size_t n = n_bytes < (long)sizeof line ? (size_t)n_bytes : sizeof line;
        write_all(STDOUT_FILENO, line, n);
        n_bytes -= (long)n;
    }
}

static void leave_grandchild(void)
{
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        sleep_for_ever();
}

/* The wrongs that need no reply; those that end the process come last. */
static void misbehave(void)
{
    if (options.print) {
        write_all(STDOUT_FILENO, options.print, strlen(options.print));
        write_all(STDOUT_FILENO, "\n", 1);
        write_all(STDERR_FILENO, options.print, strlen(options.print));
    }
    if (options.spam_bytes)
        spam(options.spam_bytes);
    if (options.ignore_term)
        (void)signal(SIGTERM, SIG_IGN);
    if (options.fork_grandchild)
        leave_grandchild();
    if (options.hang)
        sleep_for_ever();
    if (options.signal) {
        (void)signal((int)options.signal, SIG_DFL); /* a sanitizer's handler would report it */
        (void)raise((int)options.signal);
    }
    if (options.exit_code >= 0)
        exit((int)options.exit_code);
}

static void evaluate(const struct unit *unit, bool wrong)
{
    char text[1200];
    if (options.load_ms && strcmp(unit->checkpoint, last_checkpoint) != 0)
        sleep_ms(options.load_ms);
    memcpy(last_checkpoint, unit->checkpoint, sizeof last_checkpoint);
    sleep_ms(options.sleep_ms);
    if (options.count_file) {
        (void)snprintf(text, sizeof text, "%s %ld %s\n", unit->checkpoint, unit->layer, unit->task);
        write_file(options.count_file, text, O_APPEND);
    }
    if (wrong)
        misbehave();
}

static void result_text(const struct unit *unit, bool wrong, char *text, size_t size_bytes)
{
    char score[32] = "NaN";
    if (!wrong || !options.nan)
        (void)snprintf(score, sizeof score, "%.6f", score_of(unit));
    (void)snprintf(text, size_bytes,
                   "\"main_score\":%s,\"metrics\":[{\"split\":\"test\",\"subset\":\"default\","
                   "\"metric\":\"fake\",\"value\":%s}]%s%s",
                   score, score, options.attributes ? ",\"attributes\":" : "",
                   options.attributes ? options.attributes : "");
}

static void write_result(const struct unit *unit, const char *leaf, const char *result)
{
    char path[4200], text[2000];
    (void)snprintf(path, sizeof path, "%s/%s", unit->output_dir, leaf);
    (void)snprintf(text, sizeof text, "{\"status\":\"done\",%s}\n", result);
    write_file(path, text, O_TRUNC);
}

/* ------------------------------------------------------------------------------ one-shot */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    errno = EINVAL;
    if (!value)
        die(name);
    return value;
}

static int run_once(void)
{
    struct unit unit = {.layer = strtol(variable("EVALSWEEP_LAYER"), NULL, 10),
                        .attempt = strtol(variable("EVALSWEEP_ATTEMPT"), NULL, 10)};
    char result[1000];
    (void)snprintf(unit.checkpoint, sizeof unit.checkpoint, "%s", variable("EVALSWEEP_CHECKPOINT"));
    (void)snprintf(unit.task, sizeof unit.task, "%s", variable("EVALSWEEP_TASK"));
    (void)snprintf(unit.output_dir, sizeof unit.output_dir, "%s", variable("EVALSWEEP_OUTPUT_DIR"));
    bool wrong = goes_wrong(&unit);
    evaluate(&unit, wrong);
    result_text(&unit, wrong, result, sizeof result);
    if (wrong && options.garbage)
        (void)snprintf(result, sizeof result, "garbage");
    if (!options.no_result)
        write_result(&unit, "result.json", result);
    if (options.own_marker || options.marker)
        write_result(&unit, "done.json", options.marker ? options.marker : result);
    return 0;
}

/* ------------------------------------------------------------------------------ persistent */

/* The text after "key": in a line that the driver wrote. */
static const char *value_of(const char *line, const char *key)
{
    char quoted[64];
    (void)snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(line, quoted);
    errno = EPROTO;
    if (!at)
        die(line);
    return at + strlen(quoted);
}

static void read_string(const char *line, const char *key, char *ret_text, size_t size_bytes)
{
    const char *at = value_of(line, key);
    size_t n = 0;
    for (at++; *at && *at != '"' && n + 1 < size_bytes; at++) {
        if (*at == '\\' && at[1])
            at++;
        ret_text[n++] = *at;
    }
    ret_text[n] = '\0';
}

static void read_unit(const char *line, struct unit *unit)
{
    unit->id = strtol(value_of(line, "unit"), NULL, 10);
    unit->layer = strtol(value_of(line, "layer"), NULL, 10);
    unit->attempt = strtol(value_of(line, "attempt"), NULL, 10);
    read_string(line, "checkpoint", unit->checkpoint, sizeof unit->checkpoint);
    read_string(line, "task", unit->task, sizeof unit->task);
    read_string(line, "output_dir", unit->output_dir, sizeof unit->output_dir);
}

static void send_big(int fd, long n_bytes)
{
    char piece[65536];
    memset(piece, 'x', sizeof piece);
    for (long sent = 0; sent < n_bytes; sent += (long)sizeof piece)
        write_all(fd, piece, sizeof piece);
}

static void reply(int fd, const struct unit *unit, bool wrong)
{
    char result[1000], line[1200];
    int n;
    result_text(unit, wrong, result, sizeof result);
    if (wrong && options.garbage)
        n = snprintf(line, sizeof line, "this is no JSON\n");
    else if (wrong && options.error)
        n = snprintf(
            line, sizeof line,
            "{\"unit\":%ld,\"status\":\"error\",\"error\":\"asked to fail\",\"retry\":%s}\n",
            unit->id, options.retry ? "true" : "false");
    else
        n = snprintf(line, sizeof line, "{\"unit\":%ld,\"status\":\"ok\",%s}\n",
                     wrong && options.wrong_unit ? unit->id + 1 : unit->id, result);
    if (options.own_marker || options.marker)
        write_result(unit, "done.json", options.marker ? options.marker : result);
    if (wrong && options.big_reply_bytes)
        send_big(fd, options.big_reply_bytes);
    if (wrong && options.die_mid_line) {
        write_all(fd, line, (size_t)n / 2);
        exit(0);
    }
    write_all(fd, line, (size_t)n);
    if (wrong && options.twice)
        write_all(fd, line, (size_t)n);
    if (wrong && options.reply_then_exit)
        exit((int)options.then_code);
}

static int serve(void)
{
    static char line[1 << 20];
    size_t n = 0;
    int fd = options.reply_by_path ? open(variable("EVALSWEEP_REPLY_PATH"), O_WRONLY | O_CLOEXEC)
                                   : (int)strtol(variable("EVALSWEEP_REPLY_FD"), NULL, 10);
    if (fd < 0)
        die("opening the reply descriptor");
    for (long n_units = 0; options.units <= 0 || n_units < options.units;) {
        ssize_t got = read(STDIN_FILENO, line + n, sizeof line - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        n += (size_t)got;
        line[n] = '\0';
        if (line[n - 1] != '\n')
            continue; /* one request is outstanding at a time: no more can follow a newline */
        struct unit unit;
        read_unit(line, &unit);
        n = 0;
        bool wrong = goes_wrong(&unit);
        evaluate(&unit, wrong);
        if (wrong && options.close_stdin)
            (void)close(STDIN_FILENO);
        if (wrong && options.close_reply) {
            (void)close(fd);
            sleep_for_ever();
        }
        reply(fd, &unit, wrong);
        if (wrong && options.close_stdin)
            sleep_for_ever();
        n_units++;
    }
    return 0;
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    choose_failure();
    dump(options.dump_env, environ);
    dump(options.dump_args, argv);
    if (options.hold && open(options.hold, O_WRONLY) < 0)
        die(options.hold);
    return options.persistent ? serve() : run_once();
}
