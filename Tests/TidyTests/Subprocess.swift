import Glibc

/// A program that was run to its end.
struct Subprocess {
  /// As a shell counts it: 128 and the signal when one ended it, 127 when it could not be started.
  let status: Int32
  /// What it wrote to its standard output and its standard error.
  let output: String

  /// Finds the program in `PATH`, gives it `input`, and waits for its end.
  init(_ arguments: [String], input: String = "") {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0, let file = tmpfile() else {
      (status, output) = (127, "no descriptor left")
      return
    }
    defer { fclose(file) }
    fputs(input, file)
    rewind(file)
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let child = Self.start(arguments, input: fileno(file), output: ends[1])
    close(ends[1])
    output = Self.readToEnd(ends[0])
    close(ends[0])
    guard let child else {
      status = 127
      return
    }
    var result: Int32 = 0
    while waitpid(child, &result, 0) < 0, errno == EINTR {}
    let signal = result & 0x7F
    status = signal == 0 ? (result >> 8) & 0xFF : 128 + signal
  }

  private static func start(_ arguments: [String], input: Int32, output: Int32) -> pid_t? {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, input, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, output, 2)
    var pointers = arguments.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    var child = pid_t()
    let result = posix_spawnp(&child, arguments[0], &actions, nil, &pointers, environ)
    return result == 0 ? child : nil
  }

  private static func readToEnd(_ descriptor: Int32) -> String {
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(descriptor, &part, part.count)
      if count > 0 {
        bytes += part[..<count]
      } else if count == 0 || errno != EINTR {
        return String(decoding: bytes, as: UTF8.self)
      }
    }
  }
}
