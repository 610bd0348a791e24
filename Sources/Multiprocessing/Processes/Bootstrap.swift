import CPlatform
import Glibc

/// The first steps of every process of this program.
public enum Bootstrap {
  /// The environment variable that tells a process executed from this same program what it is:
  /// `forkserver:<descriptor>`, `worker:<descriptor>` or `process:<descriptor>`.
  static let variable = "LIDO_BOOT"

  /// The descriptor under which a worker gets the socket by which its calls come; as all that
  /// follow, unless it has what its fork server had open: `EntryPoint.number` tells.
  public static let channelDescriptor: Int32 = 3
  /// The descriptor under which a Swift worker gets its page of claims.
  static let claimsDescriptor: Int32 = 4
  /// The descriptor under which a Swift worker gets the pipe by which its answers go; `AnswerPipe`
  /// moves it.
  static let answersDescriptor: Int32 = 5
  /// The descriptor under which a program's worker gets the sentinel of its pool's owner.
  static let parentDescriptor: Int32 = 6
  /// The first of those that come with the argument of a worker's initializer.
  static let firstInitializerDescriptor: Int32 = 7

  /// To be the first statement of a synchronous `main`. Returns at once in a process that was
  /// started by anyone else. In one that was executed to be the fork server or a spawned worker it
  /// takes that role and never returns; `entries` runs what is to run in a child. Descriptors 0, 1
  /// and 2 are /dev/null from here on if they were closed.
  ///
  /// An `async` main may have started threads before its first statement, beside which the fork
  /// server must not be: this is found out, said, and ends the process with 70 (EX_SOFTWARE).
  ///
  /// `preload` runs in the fork server, before it forks for the first time: what it sets up, every
  /// child has. It must leave no thread behind. What this process has opened until then its forks
  /// have as well if it `bequeaths` that; else it is closed.
  public static func takeRole(
    preload: (() -> Void)? = nil, bequeaths: Bool = false, entries: (EntryPoint) -> Never
  ) {
    // Before anything is opened: what took number 0, 1 or 2 would be somebody's stdin or stdout. It
    // fails where nothing could be started either, and that is said there.
    lido_reserve_standard_descriptors()
    guard let value = getenv(variable) else { return }
    let role = String(cString: value)
    unsetenv(variable)  // Not for what this process may start.
    requireOneThread("\(variable) is \(role)")
    switch role {
    case "forkserver:3":
      if let preload {
        preload()
        requireOneThread("preload has run")
        fflush(nil)  // What is buffered would be written by every child.
      }
      entries(ForkServer.serve(over: 3, bequeaths: bequeaths))
    case "worker:3":
      entries(EntryPoint(code: EntryPoint.worker))
    case "process:3":
      entries(EntryPoint(code: EntryPoint.process))
    default:
      stop("\(variable) has an unknown value: \(role)")
    }
  }

  /// Gives this process, which has one thread, the name that ps(1) shows: a forked child would have
  /// that of the fork server. At most 15 bytes of it are kept; see prctl(2).
  public static func name(_ name: String) {
    lido_name_process(name)
  }

  /// How a `role` is started by the `spawn` method: this same program, whatever has become of its
  /// file since, with the same arguments and environment.
  static func spawned(_ role: String) -> ProcessSpecification.Program {
    var environment: [String] = []
    var next = environ
    while let variable = next.pointee {
      environment.append(String(cString: variable))
      next += 1
    }
    return .exec(
      path: "/proc/self/exe", arguments: CommandLine.arguments,
      environment: environment + ["\(variable)=\(role):\(channelDescriptor)"])
  }

  /// Ends the process with an explanation if it has more than one thread.
  static func requireOneThread(_ occasion: String) {
    let count = threadCount()
    guard count != 1 else { return }
    stop(
      """
      \(occasion), but this process has \(count) threads; it must have one. \
      Make main synchronous, and bootstrap([...]) (or Lido.main) its first statement: nothing may \
      start a thread before it, and an async main may have started some.
      """)
  }

  /// The number of threads of this process. 1 if /proc does not tell.
  static func threadCount() -> Int {
    guard let folder = opendir("/proc/self/task") else { return 1 }
    defer { closedir(folder) }
    var count = 0
    while let entry = readdir(folder) {
      let first = entry.pointee.d_name.0
      if first != CChar(UInt8(ascii: ".")) { count += 1 }
    }
    return count
  }

  /// The same, but a thread that was joined is not counted: pthread_join(3) returns when the kernel
  /// has cleared the thread's id, and it takes the thread out of /proc a moment later. So a process
  /// with more than one is looked at for up to 20 ms.
  static func settledThreadCount() -> Int {
    let deadline = Deadline(after: .milliseconds(20))
    while true {
      let count = threadCount()
      if count == 1 || deadline.hasPassed { return count }
      usleep(100)  // reason: nothing tells when the kernel has done with a thread.
    }
  }

  /// Says why this process cannot go on, and ends it.
  static func stop(_ reason: String) -> Never {
    // What was printed before it says more than this. Not of all streams: that waits for whoever
    // reads one.
    lido_flush_stdout()
    let line = "lido: \(reason)\n"
    _ = line.utf8.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) }
    _exit(70)
  }
}
