import Glibc
import Multiprocessing
import TestSupport

/// What the processes of the rows run.
enum ProcessTasks {
  static let all: [any RegistrableTask] = [
    leave, endure, ignore, compare, expectParent, expectDaemon, tellThread, nest, countProcessors,
    tellFiles, countFiles,
    throwError, registerAtExit, expectMethod, expectName, stay, stayWithChild, watchParent,
    beWatched, work, startByMethod,
    expectKey, hasFile, closeOutputs, signalParent, expectFolder, tellPreload, preloaded,
    writePreloaded,
    expectNullOutputs, tellIdentity,
  ]

  /// Ends with a code.
  static let leave = TaskDefinition<Int32, NoResult>("leave") { (code) -> NoResult in exit(code) }

  /// Ends by a signal, or with its parent.
  static let endure = TaskDefinition<NoArgument, NoResult>("endure") { _ in
    parentProcess()!.join()
    return NoResult()
  }

  /// As `endure`, and SIGTERM does not help.
  static let ignore = TaskDefinition<NoArgument, NoResult>("ignore") { _ in
    signal(SIGTERM, SIG_IGN)
    parentProcess()!.join()
    return NoResult()
  }

  struct Values: Codable, Sendable, Equatable {
    var number = 1
    var text = "str\u{e9}\n\"\u{1F600}"
    var list = [1]
    var real = 0.1
    var nothing: Int?
    var map = ["a": [true, false]]
  }

  static let compare = TaskDefinition<Values, NoResult>("compare") { values in
    exit(values == Values() ? 0 : 1)
  }

  struct Expected: Codable, Sendable {
    var parent: Int32
    var name: String
  }

  static let expectParent = TaskDefinition<Expected, NoResult>("expectParent") { expected in
    guard let parent = parentProcess() else { exit(1) }
    if parent.pid != expected.parent || parent.name != expected.name { exit(2) }
    exit(parent.isAlive && !parent.join(timeout: .zero) ? 0 : 3)
  }

  static let expectName = TaskDefinition<String, NoResult>("expectName") { name in
    exit(currentProcess().name == name ? 0 : 1)
  }

  static let expectDaemon = TaskDefinition<Bool, NoResult>("expectDaemon") { expected in
    if currentProcess().isDaemon != expected { exit(1) }
    let child = Process(leave, 0)
    do throws(ProcessError) {
      try child.start()
      try child.join()
      exit(expected ? 2 : 0)
    } catch {
      guard expected, error.code == .daemonHasNoChildren else { exit(3) }
      do {
        _ = try Pool(processes: 1)
        exit(4)
      } catch let error as ProcessError {
        exit(error.code == .daemonHasNoChildren ? 0 : 5)
      }
    }
  }

  /// Tells the ids of its process and of its thread, which is the first one.
  static let tellThread = TaskDefinition<Connection, NoResult>("tellThread") { connection in
    try connection.send([getpid(), ProcessFiles.thread()])
    return NoResult()
  }

  /// Ends with the number of processors.
  static let countProcessors = TaskDefinition<NoArgument, NoResult>("countProcessors") { _ in
    exit(Int32(cpuCount()))
  }

  static let expectMethod = TaskDefinition<String, NoResult>("expectMethod") { expected in
    if startMethod().rawValue != expected { exit(1) }
    let inner = Process(leave, 7)
    try inner.start()
    try inner.join()
    exit(try inner.exitcode == 7 ? 0 : 2)
  }

  /// Starts a process, which starts one, as deep as it is told; the deepest ends with 5.
  static let nest: TaskDefinition<Int32, NoResult> = TaskDefinition("nest") { depth in
    if depth == 0 { exit(5) }
    let child = Process(nest, depth - 1)
    try child.start()
    try child.join()
    exit(try child.exitcode ?? 99)
  }

  /// Ends with the number of its open files.
  static let countFiles = TaskDefinition<NoArgument, NoResult>("countFiles") { _ in
    exit(Int32(ProcessFiles.openDescriptors.count))
  }

  struct Ends: Codable, Sendable {
    var counts: Connection
    var release: Connection
  }

  /// Tells what its open files are, and ends when it is released.
  static let tellFiles = TaskDefinition<Ends, NoResult>("tellFiles") { ends in
    try ends.counts.send((Int32(0)..<1_000).filter { fcntl($0, F_GETFD) >= 0 })
    _ = try ends.release.poll(timeout: nil)
    return NoResult()
  }

  struct Oops: Error, CustomStringConvertible {
    var description: String {
      "line 1\nline 2: " + String(repeating: "long ", count: 5_000) + "end"
    }
  }

  static let throwError = TaskDefinition<NoArgument, NoResult>("throwError") { _ in throw Oops() }

  static let registerAtExit = TaskDefinition<NoArgument, NoResult>("registerAtExit") { _ in
    atexit { _exit(42) }
    return NoResult()
  }

  /// Tells its process id on stdout, and ends by nothing but SIGKILL.
  static let stay = TaskDefinition<NoArgument, NoResult>("stay") { _ in
    signal(SIGTERM, SIG_IGN)
    tell("process \(getpid())")
    while true { pause() }
  }

  /// Has a child that stays, and stays.
  static let stayWithChild = TaskDefinition<NoArgument, NoResult>("stayWithChild") { _ in
    try Process(stay).start()
    _ = try stay.body(NoArgument())
    return NoResult()
  }

  /// Tells when the parent has ended, as far as it can see.
  static let watchParent = TaskDefinition<NoArgument, NoResult>("watchParent") { _ in
    let parent = parentProcess()!
    tell(parent.isAlive ? "alive" : "not alive")
    parent.join()
    tell(parent.isAlive ? "alive" : "not alive")
    return NoResult()
  }

  /// Has a child that watches it, and stays.
  static let beWatched = TaskDefinition<NoArgument, NoResult>("beWatched") { _ in
    try Process(watchParent).start()
    _ = try stay.body(NoArgument())
    return NoResult()
  }

  /// Runs for a while, and tells when it is done.
  static let work = TaskDefinition<NoArgument, NoResult>("work") { _ in
    last(milliseconds: 200)
    tell("done")
    return NoResult()
  }

  /// The exit code of a child that is started by this method.
  static let startByMethod = TaskDefinition<String, Int>("startByMethod") { method in
    let child = Process(leave, 6, context: Context(StartMethod(rawValue: method)!))
    try child.start()
    try child.join()
    return Int(try child.exitcode ?? 99)
  }

  static let expectKey = TaskDefinition<[UInt8], NoResult>("expectKey") { key in
    exit(currentProcess().authenticationKey == key ? 0 : 1)
  }

  /// Ends with 1 if it has this descriptor.
  static let hasFile = TaskDefinition<Int32, NoResult>("hasFile") { file in
    exit(fcntl(file, F_GETFD) >= 0 ? 1 : 0)
  }

  static let closeOutputs = TaskDefinition<NoArgument, NoResult>("closeOutputs") { _ in
    print("this cannot be written any more")
    close(1)
    close(2)
    return NoResult()
  }

  static let signalParent = TaskDefinition<NoArgument, NoResult>("signalParent") { _ in
    for _ in 0..<100 {
      kill(parentProcess()!.pid, SIGUSR1)
      sched_yield()
    }
    return NoResult()
  }

  /// Ends with 0 if its stdout and stderr are /dev/null and its parent runs.
  static let expectNullOutputs = TaskDefinition<Int32, NoResult>("expectNullOutputs") { parent in
    for descriptor in Int32(1)...2 {
      if ProcessFiles.file(of: descriptor) != "/dev/null" { exit(descriptor) }
    }
    exit(parentProcess()!.isAlive && parentProcess()!.pid == parent ? 0 : 3)
  }

  /// Whoever has registered what is to be called at its end.
  nonisolated(unsafe) static var parent: Int32 = 0

  /// The process that has run what is to run before the first fork; 0 for none.
  nonisolated(unsafe) static var preloadedBy: Int32 = 0

  /// Ends with 1 if a fork server has run it, with 0 if nobody has, with 2 if this process has.
  static let tellPreload = TaskDefinition<NoArgument, NoResult>("tellPreload") { _ in
    exit(preloadedBy == 0 ? 0 : preloadedBy == getpid() ? 2 : 1)
  }

  /// What that has opened; -1 if nobody has.
  nonisolated(unsafe) static var preloadedFile: Int32 = -1

  /// What is run before the first fork.
  static func preload() {
    preloadedBy = getpid()
    var name = Array("/tmp/lido-preload-XXXXXX".utf8CString)
    preloadedFile = mkstemp(&name)
    unlink(name)
  }

  /// Writes a line there, and ends with the size of the file.
  static let writePreloaded = TaskDefinition<NoArgument, NoResult>("writePreloaded") { _ in
    _ = write(preloadedFile, "log line\n", 9)
    exit(Int32(truncatingIfNeeded: lseek(preloadedFile, 0, SEEK_END)))
  }

  static let preloaded = TaskDefinition<NoArgument, Bool>("preloaded") { _ in preloadedBy != 0 }

  struct Identity: Codable, Sendable, Equatable {
    var key: [UInt8]
    var method: String
    var parent: Int32
    var parentName: String
    var isParentAlive: Bool
    /// Of one that expects the same key.
    var codeOfChild: Int32
  }

  static let tellIdentity = TaskDefinition<NoArgument, Identity>("tellIdentity") { _ in
    let key = currentProcess().authenticationKey
    let child = Process(expectKey, key)
    try child.start()
    try child.join()
    let parent = parentProcess()
    return Identity(
      key: key, method: startMethod().rawValue, parent: parent?.pid ?? 0,
      parentName: parent?.name ?? "", isParentAlive: parent?.isAlive ?? false,
      codeOfChild: try child.exitcode ?? 99)
  }

  static let expectFolder = TaskDefinition<String, NoResult>("expectFolder") { folder in
    let path = getcwd(nil, 0)!
    exit(String(cString: path) == folder ? 0 : 1)
  }

  static func tell(_ line: String) {
    print(line)
    fflush(nil)
  }
}
