/* untold: an on-device privacy firewall. The C face; made by cbindgen from src/capi.rs, see cbindgen.toml. */

#ifndef UNTOLD_H
#define UNTOLD_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

// What a call came to.
typedef enum untold_status {
  // It did what it says.
  UNTOLD_OK = 0,
  // A text of the person's cannot be used; the error names file, line and column.
  UNTOLD_CONFIG = 1,
  // Another argument cannot be used.
  UNTOLD_ARGUMENT = 2,
  // The machine refuses.
  UNTOLD_MACHINE = 3,
  // A fault of the library's.
  UNTOLD_FAULT = 4,
} untold_status;

// A firewall on a tun descriptor. May be used by several threads at a time, but stopped by one.
typedef struct untold_engine untold_engine;

// Inspects messages, without a tunnel. May be used by several threads at a time.
typedef struct untold_inspector untold_inspector;

// Bytes of somebody else's. `data` may be null where `len` is 0. Texts are UTF-8.
typedef struct untold_bytes {
  // The first of them.
  const uint8_t *data;
  // How many.
  size_t len;
} untold_bytes;

// Bytes that the library made: give them back to untold_buffer_free.
typedef struct untold_buffer {
  // The first of them.
  uint8_t *data;
  // How many.
  size_t len;
} untold_buffer;

// What judging stands on; read during the call, kept by nobody.
typedef struct untold_rules {
  // Text of the identity file; empty: none.
  struct untold_bytes identity;
  // Text of the policy file; empty: every default.
  struct untold_bytes policy;
  // Text of the file of answers "always"; empty: none.
  struct untold_bytes answers;
  // Texts of the policy's lists, in its order.
  const struct untold_bytes *lists;
  // How many lists.
  size_t list_count;
  // Texts of the policy's password files, in its order.
  const struct untold_bytes *passwords;
  // How many.
  size_t password_count;
  // 32 bytes that findings are hashed with. Keep them, and hashes stay comparable.
  struct untold_bytes hash_key;
} untold_rules;

// A header field of a request.
typedef struct untold_header {
  // Its name.
  struct untold_bytes name;
  // Its value.
  struct untold_bytes value;
} untold_header;

// How an engine runs.
typedef struct untold_options {
  // Largest packet that the device takes, in bytes: 1280 to 65535.
  int32_t mtu;
  // Packets that the device queues towards the engine (txqueuelen).
  int32_t queue;
  // Addresses inside the tunnel at which DNS is answered.
  const struct untold_bytes *dns;
  // How many.
  size_t dns_count;
  // Where those questions go: "address" or "address:port".
  const struct untold_bytes *resolvers;
  // How many.
  size_t resolver_count;
  // Whether somebody answers questions.
  bool can_ask;
} untold_options;

// What an engine calls, from threads of its own, until untold_engine_stop has returned. Each may be null.
typedef struct untold_callbacks {
  // Given to each call.
  void *context;
  // Keeps a socket out of the tunnel; where it answers false, the socket is closed and never used.
  bool (*protect)(void *context, int32_t fd);
  // Writes the names of the app whose flow this is into `names`, one a line, and returns how many bytes; 0 where
  // unknown, as it counts after 250 ms. `proto` is the number of IP.
  size_t (*owner)(void *context,
                  int32_t proto,
                  struct untold_bytes src,
                  uint16_t src_port,
                  struct untold_bytes dst,
                  uint16_t dst_port,
                  uint8_t *names,
                  size_t room);
  // Gets events, a JSON object a line. Where it is too slow, the oldest flow events are lost, and counted.
  void (*events)(void *context, struct untold_bytes lines);
  // The last call: the engine has ended, by itself with a reason, or by untold_engine_stop with none.
  void (*stopped)(void *context, struct untold_bytes reason);
} untold_callbacks;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library.
struct untold_bytes untold_version(void);

// Why the calling thread's last call failed, in one line; valid until its next call.
struct untold_bytes untold_last_error(void);

// Gives back what a call made.
//
// # Safety
// `buffer` is null or points to a buffer that this library filled in, or to one of zeros.
void untold_buffer_free(struct untold_buffer *buffer);

// Makes an inspector.
//
// # Safety
// Every pointer is valid, with the length beside it, during the call.
enum untold_status untold_inspector_new(const struct untold_rules *rules,
                                        struct untold_inspector **inspector);

// Inspects a request before it is sent. `inspection` becomes a JSON object: `verdict`, `rule`, `approved`, `findings`
// (see docs/events.md) and `opaque`.
//
// # Safety
// As untold_inspector_new; `inspector` is not freed before the call ends.
enum untold_status untold_inspector_request(const struct untold_inspector *inspector,
                                            struct untold_bytes method,
                                            struct untold_bytes url,
                                            const struct untold_header *headers,
                                            size_t header_count,
                                            struct untold_bytes body,
                                            struct untold_buffer *inspection);

// Inspects what one side of a flow sent, from its first byte to its last, or one datagram. `proto` is the number of IP
// (6, 17 or 1), `to` is "host:port", `inspection` as for untold_inspector_request.
//
// # Safety
// As untold_inspector_request.
enum untold_status untold_inspector_bytes(const struct untold_inspector *inspector,
                                          int32_t proto,
                                          struct untold_bytes to,
                                          struct untold_bytes bytes,
                                          struct untold_buffer *inspection);

// Frees an inspector, or nothing.
//
// # Safety
// `inspector` is null, or comes from untold_inspector_new and is used by nobody.
void untold_inspector_free(struct untold_inspector *inspector);

// Starts an engine. It takes `tun` over (a descriptor that carries one IP packet a read), whatever comes of the call.
//
// # Safety
// As untold_inspector_new; the callbacks may be called from any thread, with their context.
enum untold_status untold_engine_start(int32_t tun,
                                       const struct untold_options *options,
                                       const struct untold_rules *rules,
                                       const struct untold_callbacks *callbacks,
                                       struct untold_engine **engine);

// Swaps the rules between two packets. On an error those in force stay; the hash key stays in any case.
//
// # Safety
// As untold_inspector_new; `engine` is not stopped before the call ends.
enum untold_status untold_engine_set_rules(const struct untold_engine *engine,
                                           const struct untold_rules *rules);

// Passes on a person's answer. `scope`: 0 once, 1 this flow, 2 a quarter of an hour, 3 always.
//
// # Safety
// `engine` comes from untold_engine_start and is not stopped before the call ends.
enum untold_status untold_engine_answer(const struct untold_engine *engine,
                                        uint64_t question,
                                        bool allow,
                                        int32_t scope);

// Ends every flow, delivers the last events, waits for every callback under way, closes the descriptor and frees the
// engine: afterwards no thread of it is left. Not from a callback.
//
// # Safety
// `engine` comes from untold_engine_start and is used by nobody else any more.
enum untold_status untold_engine_stop(struct untold_engine *engine);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* UNTOLD_H */
