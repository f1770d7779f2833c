/*
 * What the C face is for, in one program.
 *
 *   inspect POLICY IDENTITY < MESSAGE       inspects what one side of a flow sent, prints what was found
 *   inspect POLICY IDENTITY --tun NAME      runs the firewall on a new tun device until standard input ends
 *
 * Ends with 0 where everything may go, 1 where something may not, 2 on an error.
 */
#define _GNU_SOURCE
#include "untold.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Bytes that somebody allocated. */
struct content {
    uint8_t *data;
    size_t len;
};

static int fail(const char *what) {
    untold_bytes error = untold_last_error();
    fprintf(stderr, "inspect: %s: %.*s\n", what, (int)error.len, (const char *)error.data);
    return 2;
}

static struct content read_all(FILE *file) {
    struct content content = {NULL, 0};
    size_t room = 0, got = 1;
    while (file != NULL && got > 0) {
        if (content.len == room) {
            room = room == 0 ? 4096 : room * 2;
            content.data = realloc(content.data, room);
            if (content.data == NULL) {
                abort();
            }
        }
        got = fread(content.data + content.len, 1, room - content.len, file);
        content.len += got;
    }
    return content;
}

static struct content read_file(const char *name) {
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        perror(name);
        exit(2);
    }
    struct content content = read_all(file);
    fclose(file);
    return content;
}

static untold_bytes bytes(struct content content) {
    return (untold_bytes){content.data, content.len};
}

static int inspect(const untold_rules *rules) {
    untold_inspector *inspector;
    if (untold_inspector_new(rules, &inspector) != UNTOLD_OK) {
        return fail("the rules");
    }
    struct content message = read_all(stdin);
    static const char to[] = "collector.example:80";
    untold_bytes destination = {(const uint8_t *)to, sizeof to - 1};
    untold_buffer inspection;
    int status = 2;
    if (untold_inspector_bytes(inspector, 6, destination, bytes(message), &inspection) != UNTOLD_OK) {
        fail("the message");
    } else {
        static const char allow[] = "\"verdict\":\"allow\"";
        fwrite(inspection.data, 1, inspection.len, stdout);
        putchar('\n');
        status = memmem(inspection.data, inspection.len, allow, sizeof allow - 1) == NULL;
        untold_buffer_free(&inspection);
    }
    free(message.data);
    untold_inspector_free(inspector);
    return status;
}

static void print_events(void *context, untold_bytes lines) {
    (void)context;
    fwrite(lines.data, 1, lines.len, stdout);
    fflush(stdout);
}

static void print_end(void *context, untold_bytes reason) {
    (void)context;
    printf("stopped %.*s\n", (int)reason.len, (const char *)reason.data);
}

static size_t nobody(void *context, int32_t proto, untold_bytes src, uint16_t src_port, untold_bytes dst,
                     uint16_t dst_port, uint8_t *names, size_t room) {
    static const char name[] = "uid:10001";
    (void)context, (void)proto, (void)src, (void)src_port, (void)dst, (void)dst_port;
    if (room < sizeof name - 1) {
        return 0;
    }
    memcpy(names, name, sizeof name - 1);
    return sizeof name - 1;
}

static int run(const untold_rules *rules, const char *name) {
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0) {
        perror("/dev/net/tun");
        return 2;
    }
    untold_options options = {.mtu = 1500, .queue = 500};
    untold_callbacks callbacks = {.owner = nobody, .events = print_events, .stopped = print_end};
    untold_engine *engine;
    if (untold_engine_start(tun, &options, rules, &callbacks, &engine) != UNTOLD_OK) {
        return fail("the engine");
    }
    puts("running");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return untold_engine_stop(engine) == UNTOLD_OK ? 0 : fail("the end");
}

int main(int argc, char **argv) {
    if (argc != 3 && !(argc == 5 && strcmp(argv[3], "--tun") == 0)) {
        fprintf(stderr, "usage: inspect POLICY IDENTITY [--tun NAME]\n");
        return 2;
    }
    struct content policy = read_file(argv[1]), identity = read_file(argv[2]);
    /* Hashes need not be comparable between runs here; elsewhere, keep 32 random bytes. */
    static const uint8_t key[32];
    untold_rules rules = {
        .identity = bytes(identity),
        .policy = bytes(policy),
        .hash_key = {key, sizeof key},
    };
    int status = argc == 3 ? inspect(&rules) : run(&rules, argv[4]);
    free(policy.data);
    free(identity.data);
    return status;
}
