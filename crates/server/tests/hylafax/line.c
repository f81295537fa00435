/* A telephone line for tests: a Class 1 fax modem on a pseudo-terminal, and at the other end
 * of the line a fax machine that writes what it gets as TIFF. Both are libspandsp's; between
 * them go blocks of audio of 20 ms, faster than life if wished.
 *
 *     line LINK FOLDER SPEED
 *
 * LINK becomes a symbolic link to the terminal. Numbers that end in 01 are busy, in 02 nobody
 * answers, in 03 a voice does; at any other the fax machine answers, and its pages come to
 * FOLDER/N.tif, N from 1. At the first call of a number that ends in 04 the line goes dead in
 * the middle of the third page.
 *
 * When a file FOLDER/call appears, with a line `CALLED CALLER`, the fax machine calls the modem
 * from that number and sends it FOLDER/call.tif; the file is removed when the call has ended. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <tiffio.h>
#include <unistd.h>
#define SPANDSP_EXPOSE_INTERNAL_STRUCTURES
#include <spandsp.h>

enum { BLOCK = 160, BLOCK_MS = 20, ANSWER_MS = 1500, PATIENCE_MS = 20000, READ_MAX = 256,
    RING_MS = 3000, RINGS_MAX = 10, BREAK_PAGES = 2, BREAK_MS = 6000 };
enum state { IDLE, CALLING, TALKING, RINGING };
enum party { NOBODY, MACHINE, BUSY, SILENT, VOICE };
enum weakness { SOUND, WEAK, BREAKING, BROKEN };

static struct {
    int terminal;
    t31_state_t *modem;
    enum state state;
    enum party party;
    long since_ms;
    int takes_commands;
    fax_state_t *machine;
    int machine_done;
    int faxes;
    enum weakness weakness;
    int pages;
    long page_ms;
    int rings;
    const char *folder;
} line;
static long now_ms;

static int to_terminal(at_state_t *s, void *user, const uint8_t *octets, size_t count)
{
    size_t done = 0;
    for (int tries = 0; done < count && tries < 200; tries++) {
        ssize_t written = write(line.terminal, octets + done, count - done);
        if (written > 0)
            done += written;
        else if (errno == EAGAIN)
            usleep(1000);
        else
            break;
    }
    return (int) count;
}

static void machine_ended(t30_state_t *s, void *user, int result)
{
    fprintf(stderr, "the fax machine ended: %s\n", t30_completion_code_to_str(result));
    line.machine_done = 1;
}

static int page_ended(t30_state_t *s, void *user, int result)
{
    line.pages++;
    line.page_ms = now_ms;
    return T30_ERR_OK;
}

static fax_state_t *new_machine(int calls)
{
    char file[512];
    fax_state_t *fax = fax_init(NULL, calls);
    t30_state_t *t30 = fax_get_t30_state(fax);
    fax_set_transmit_on_idle(fax, 1);
    t30_set_tx_ident(t30, "+1 555 0100");
    t30_set_supported_modems(t30, T30_SUPPORT_V27TER | T30_SUPPORT_V29 | T30_SUPPORT_V17);
    t30_set_ecm_capability(t30, 1);
    t30_set_supported_compressions(t30, T30_SUPPORT_T4_1D_COMPRESSION
        | T30_SUPPORT_T4_2D_COMPRESSION | T30_SUPPORT_T6_COMPRESSION);
    t30_set_supported_resolutions(t30, T30_SUPPORT_STANDARD_RESOLUTION
        | T30_SUPPORT_FINE_RESOLUTION | T30_SUPPORT_SUPERFINE_RESOLUTION);
    t30_set_supported_image_sizes(t30, T30_SUPPORT_US_LETTER_LENGTH | T30_SUPPORT_US_LEGAL_LENGTH
        | T30_SUPPORT_UNLIMITED_LENGTH | T30_SUPPORT_215MM_WIDTH);
    if (calls) {
        snprintf(file, sizeof file, "%s/call.tif", line.folder);
        t30_set_tx_file(t30, file, -1, -1);
    } else {
        snprintf(file, sizeof file, "%s/%d.tif", line.folder, ++line.faxes);
        t30_set_rx_file(t30, file, -1);
    }
    line.pages = 0;
    t30_set_phase_d_handler(t30, page_ended, NULL);
    t30_set_phase_e_handler(t30, machine_ended, NULL);
    return fax;
}

static void forget_call(void)
{
    char file[512];
    snprintf(file, sizeof file, "%s/call", line.folder);
    unlink(file);
    line.rings = 0;
}

static void hang_up(void)
{
    forget_call();
    if (line.machine) {
        t30_terminate(fax_get_t30_state(line.machine));
        fax_free(line.machine);
        line.machine = NULL;
    }
    line.state = IDLE;
    line.party = NOBODY;
}

static int control(t31_state_t *s, void *user, int operation, const char *number)
{
    switch (operation) {
    case AT_MODEM_CONTROL_CALL: {
        size_t length = strlen(number);
        const char *end = length >= 2 ? number + length - 2 : number;
        line.party = !strcmp(end, "01") ? BUSY : !strcmp(end, "02") ? SILENT
            : !strcmp(end, "03") ? VOICE : MACHINE;
        if (!strcmp(end, "04") && line.weakness == SOUND)
            line.weakness = WEAK;
        line.state = CALLING;
        line.since_ms = now_ms;
        fprintf(stderr, "dialled %s\n", number);
        break;
    }
    case AT_MODEM_CONTROL_HANGUP:
    case AT_MODEM_CONTROL_ONHOOK:
        hang_up();
        break;
    case AT_MODEM_CONTROL_ANSWER:
        if (line.state != RINGING)
            break;
        fprintf(stderr, "the modem answers\n");
        line.machine = new_machine(1);
        line.machine_done = 0;
        line.state = TALKING;
        t31_call_event(line.modem, AT_CALL_EVENT_ANSWERED);
        break;
    case AT_MODEM_CONTROL_CTS:
        line.takes_commands = number != NULL;
        break;
    }
    return 0;
}

/* Rings until the modem answers, and says after the first ring who calls whom. */
static void ring(void)
{
    char file[512], called[64], caller[64];
    if (line.state == IDLE) {
        if (now_ms % 1000 != 0)
            return;
        snprintf(file, sizeof file, "%s/call", line.folder);
        if (access(file, R_OK) != 0)
            return;
        line.state = RINGING;
        line.since_ms = now_ms - RING_MS;
    }
    if (line.state != RINGING || now_ms - line.since_ms < RING_MS)
        return;
    line.since_ms = now_ms;
    if (line.rings++ >= RINGS_MAX) {
        hang_up();
        return;
    }
    snprintf(file, sizeof file, "%s/call", line.folder);
    FILE *call = fopen(file, "r");
    if (line.rings == 1 && call && fscanf(call, "%63s %63s", called, caller) == 2) {
        at_state_t *at = &line.modem->at_state;
        at_reset_call_info(at);
        at_set_call_info(at, "NMBR", caller);
        at_set_call_info(at, "NDID", called);
    }
    t31_call_event(line.modem, AT_CALL_EVENT_ALERTING);
    if (call)
        fclose(call);
}

static void answer(void)
{
    long waited = now_ms - line.since_ms;
    if (line.state != CALLING || waited < ANSWER_MS)
        return;
    switch (line.party) {
    case BUSY:
        line.state = IDLE;
        t31_call_event(line.modem, AT_CALL_EVENT_BUSY);
        break;
    case SILENT:
        if (waited > PATIENCE_MS) {
            line.state = IDLE;
            t31_call_event(line.modem, AT_CALL_EVENT_NO_ANSWER);
        }
        break;
    case MACHINE:
        line.machine = new_machine(0);
        line.machine_done = 0;
        if (line.weakness == WEAK)
            line.weakness = BREAKING;
        /* fall through */
    case VOICE:
        line.state = TALKING;
        t31_call_event(line.modem, AT_CALL_EVENT_CONNECTED);
        break;
    case NOBODY:
        break;
    }
}

static void talk(void)
{
    int16_t from_modem[BLOCK] = {0}, to_modem[BLOCK] = {0};
    int count = t31_tx(line.modem, from_modem, BLOCK);
    memset(from_modem + count, 0, sizeof(int16_t) * (BLOCK - count));
    if (line.state != TALKING)
        return;
    if (line.weakness == BREAKING && line.machine && line.pages >= BREAK_PAGES
        && now_ms - line.page_ms > BREAK_MS) {
        fprintf(stderr, "the line breaks after %d pages\n", line.pages);
        line.weakness = BROKEN;
        t30_terminate(fax_get_t30_state(line.machine));
        fax_free(line.machine);
        line.machine = NULL;
    }
    if (line.machine) {
        fax_tx(line.machine, to_modem, BLOCK);
        fax_rx(line.machine, from_modem, BLOCK);
        if (line.machine_done) {
            fax_free(line.machine);
            line.machine = NULL;
            hang_up();
            t31_call_event(line.modem, AT_CALL_EVENT_HANGUP);
            return;
        }
    }
    t31_rx(line.modem, to_modem, BLOCK);
}

static double clock_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000.0 + at.tv_nsec / 1e6;
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "line LINK FOLDER SPEED\n");
        return 64;
    }
    line.folder = arguments[2];
    double speed = atof(arguments[3]);
    int other;
    char name[128];
    if (openpty(&line.terminal, &other, name, NULL, NULL) != 0)
        return 1;
    struct termios raw;
    tcgetattr(other, &raw);
    cfmakeraw(&raw);
    tcsetattr(other, TCSANOW, &raw);
    fcntl(line.terminal, F_SETFL, O_NONBLOCK);
    unlink(arguments[1]);
    if (symlink(name, arguments[1]) != 0)
        return 1;
    struct passwd *uucp = getpwnam("uucp");
    if (uucp && chown(name, uucp->pw_uid, uucp->pw_gid) != 0)
        return 1;
    chmod(name, 0660);
    line.takes_commands = 1;
    line.modem = t31_init(NULL, to_terminal, NULL, control, NULL, NULL, NULL);
    t31_set_transmit_on_idle(line.modem, 1);
    double started = clock_ms();
    for (;;) {
        if (line.takes_commands) {
            char octets[READ_MAX];
            ssize_t got = read(line.terminal, octets, sizeof octets);
            if (got > 0)
                t31_at_rx(line.modem, octets, (int) got);
        }
        if ((clock_ms() - started) * speed < now_ms + BLOCK_MS) {
            usleep(1000);
            continue;
        }
        now_ms += BLOCK_MS;
        ring();
        answer();
        talk();
    }
}
