import CPlatform
import Glibc
import JSON

/// What a Swift worker does all its life: reads calls from its channel, a socket, runs them one
/// after the other, answers in that order, by a pipe.
///
/// Each answer is written before the next call starts. That is one system call per call, and it
/// keeps both promises that matter: no result waits behind a call that may take for ever, and
/// nobody has to guess which will. The server still reads many answers at once when it is busy.
public struct WorkerLoop {
  private let tasks: TaskRegistry
  private let entry: EntryPoint
  private let channel: Int32
  private let answers: AnswerPipe
  private let claims: OpaquePointer
  private var output: [UInt8] = []
  private var result = JSONWriter()
  private var callsMax: UInt32 = 0
  private var resultBytesMax = 0
  private var openFilesMax: [String: UInt32] = [:]
  /// The task that was called last, if there is one of that name: mostly the next is of it too.
  private var lastTask: AnyTask?
  /// Its name, as a call has it.
  private var lastName: [UInt8] = []
  private var callsRun: UInt32 = 0
  private var lastOrdinal: UInt32 = 0

  /// Is a worker in this process, which the fork server has started for a `WorkerPool` as `entry`,
  /// and never returns. SIGTERM ends it, SIGINT does not: an interrupt from a terminal is for the
  /// server.
  public static func run(tasks: TaskRegistry, as entry: EntryPoint) -> Never {
    let channel = entry.number(Bootstrap.channelDescriptor)
    let answers = AnswerPipe(taking: entry.number(Bootstrap.answersDescriptor))
    let page = entry.number(Bootstrap.claimsDescriptor)
    // They are not for what a task may start.
    for descriptor in [channel, page] { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    guard let claims = lido_claims_map(page) else {
      Bootstrap.stop("a worker cannot map its claims: \(String(cString: strerror(errno)))")
    }
    close(page)
    signal(SIGINT, SIG_IGN)
    Bootstrap.name("lido-worker")
    // What a task prints is its log: whole lines at once, none lost when it dies.
    lido_buffer_stdout_by_line()
    var loop = WorkerLoop(
      tasks: tasks, entry: entry, channel: channel, answers: answers, claims: claims)
    loop.sayHello()
    loop.serve()
  }

  private init(
    tasks: TaskRegistry, entry: EntryPoint, channel: Int32, answers: AnswerPipe,
    claims: OpaquePointer
  ) {
    self.tasks = tasks
    self.entry = entry
    self.channel = channel
    self.answers = answers
    self.claims = claims
  }

  /// Reads and works until it is told to stop, has run its calls, or nobody is there any more.
  private mutating func serve() -> Never {
    var input = FrameInput()
    let size = 256 << 10
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
    while true {
      let count = recv(channel, buffer.baseAddress, size, 0)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { Self.leave() }  // The server is gone.
      do throws(FrameError) {
        try input.take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) { frame in
          take(frame)
          return true
        }
      } catch {
        Bootstrap.stop("a worker's channel is damaged: \(error.reason)")
      }
    }
  }

  private mutating func take(_ frame: Frame) {
    switch FrameKind(rawValue: frame.kind) {
    case .call: runCall(frame)
    case .chunk: runChunk(frame)
    case .setup: setUp(frame.payload)
    case .stop: Self.leave()
    default: Bootstrap.stop("a worker's channel is damaged: kind \(frame.kind)")
    }
  }

  // MARK: Before the first call

  private mutating func sayHello() {
    let start = output.beginFrame(.hello)
    output.append(littleEndian: FrameKind.protocolVersion)
    output.append(littleEndian: UInt32(getpid()))
    for name in tasks.names { output.append(name: name) }
    output.endFrame(start)
    flush()
  }

  private mutating func setUp(_ payload: UnsafeRawBufferPointer) {
    var reader = PayloadReader(payload)
    guard let calls = reader.number(UInt32.self), let bytes = reader.number(UInt32.self),
      let limits = reader.number(UInt32.self)
    else { Bootstrap.stop("a worker's channel is damaged: setup") }
    for _ in 0..<limits {
      guard let task = reader.name(), let most = reader.number(UInt32.self) else {
        Bootstrap.stop("a worker's channel is damaged: limits")
      }
      openFilesMax[task] = most
    }
    joinProgram(&reader)
    guard let descriptors = reader.number(UInt8.self), let initializer = reader.name() else {
      Bootstrap.stop("a worker's channel is damaged: setup")
    }
    callsMax = calls
    resultBytesMax = Int(bytes)
    let transfer = receive(Int32(descriptors))
    let message =
      initializer.isEmpty
      ? nil : transfer.perform { initialize(initializer, args: reader.rest()) }
    if let message {
      let start = output.beginFrame(.initializerFailed)
      output.append(utf8: message)
      output.endFrame(start)
      flush()
      fflush(nil)
      _exit(1)
    }
    output.endFrame(output.beginFrame(.ready))
    flush()
  }

  /// Takes note of the program whose worker this is, if it is one's.
  private func joinProgram(_ reader: inout PayloadReader) {
    guard reader.number(UInt8.self) == 1 else { return }
    let parent = entry.number(Bootstrap.parentDescriptor)
    _ = fcntl(parent, F_SETFD, FD_CLOEXEC)
    let sentinel = OwnedDescriptor(parent)
    guard let owner = PoolOwner(&reader, sentinel: sentinel) else {
      Bootstrap.stop("a worker's channel is damaged: owner")
    }
    ProgramRuntime.becomeWorker(of: owner)
  }

  /// The descriptors that came with the initializer's argument: none is for what a task may start.
  private func receive(_ count: Int32) -> DescriptorTransfer {
    let first = Bootstrap.firstInitializerDescriptor
    let descriptors = (first..<first + count).map(entry.number)
    for descriptor in descriptors { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    return DescriptorTransfer(.start, received: descriptors)
  }

  /// Returns what went wrong.
  private mutating func initialize(_ name: String, args: UnsafeBufferPointer<UInt8>) -> String? {
    guard let task = tasks.initializer(named: name) else { return "there is no \(name)" }
    let none = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    defer { result.removeAll() }
    return task.run(CallArguments(args: args, kwargs: none), &result).map {
      "\($0.type): \($0.message)"
    }
  }

  // MARK: Calls

  private mutating func runCall(_ frame: Frame) {
    lastOrdinal += 1
    guard lido_claims_take(claims, lastOrdinal) == 1 else { return }  // Taken back in time.
    var reader = PayloadReader(frame.payload)
    guard reader.number(UInt32.self) != nil, let name = reader.nameBytes(),
      let argsLength = reader.number(UInt32.self), let args = reader.piece(Int(argsLength))
    else { Bootstrap.stop("a worker's channel is damaged: call") }
    let arguments = CallArguments(args: args, kwargs: reader.rest())

    let began = Deadline.clock
    var failure = run(name, arguments)
    if failure == nil && result.count > resultBytesMax {
      failure = .tooLarge(result.count, max: resultBytesMax)
    }
    if let failure {
      result.removeAll()
      failure.write(to: &result)
    }
    let microseconds = UInt32(clamping: (Deadline.clock - began) / 1000)
    answer(frame.call, failure == nil ? .returned : .raised, after: microseconds)
  }

  /// A pool's call: several arguments, one answer.
  private mutating func runChunk(_ frame: Frame) {
    lastOrdinal += 1
    guard lido_claims_take(claims, lastOrdinal) == 1 else { return }  // Taken back in time.
    var reader = PayloadReader(frame.payload)
    guard let flags = reader.number(UInt8.self).map(ChunkFlags.init(rawValue:)),
      let name = reader.name(), let task = tasks.task(named: name)
    else { Bootstrap.stop("a worker's channel is damaged: chunk") }
    let began = Deadline.clock
    var failure = runChunk(of: task, reader.rest(), flags)
    if result.count > resultBytesMax {
      failure = ChunkFailure(.tooLarge(result.count, max: resultBytesMax), name, task.source)
      result.removeAll()
    }
    if let failure {
      let results = failure.item == nil ? [] : result.bytes
      result.removeAll()
      if flags.contains(.itemByItem) {
        failure.write(to: &result, resultsBefore: results)
      } else {
        failure.write(to: &result)
      }
    }
    let microseconds = UInt32(clamping: (Deadline.clock - began) / 1000)
    answer(frame.call, failure == nil ? .returned : .raised, after: microseconds)
  }

  private mutating func runChunk(
    of task: AnyTask, _ items: UnsafeBufferPointer<UInt8>, _ flags: ChunkFlags
  ) -> ChunkFailure? {
    guard !openFilesMax.isEmpty, let most = openFilesMax[task.name] else {
      return task.runChunk(items, flags, &result)
    }
    do throws(SystemCallError) {
      let limit = try OpenFileLimit(lowering: UInt64(most))
      defer { limit.restore() }
      return task.runChunk(items, flags, &result)
    } catch {
      let message = "the limit of open files: \(error)"
      return ChunkFailure(
        TaskFailure(.raised, type: "LimitNotSet", message: message), task.name, task.source)
    }
  }

  private mutating func run(
    _ name: UnsafeBufferPointer<UInt8>, _ arguments: CallArguments
  ) -> TaskFailure? {
    guard let task = task(named: name) else {
      let name = String(decoding: name, as: UTF8.self)
      return TaskFailure(.raised, type: "UnknownTask", message: "there is no task \(name)")
    }
    guard !openFilesMax.isEmpty, let most = openFilesMax[task.name] else {
      return task.run(arguments, &result)
    }
    do throws(SystemCallError) {
      let limit = try OpenFileLimit(lowering: UInt64(most))
      defer { limit.restore() }
      return task.run(arguments, &result)
    } catch {
      return TaskFailure(.raised, type: "LimitNotSet", message: "the limit of open files: \(error)")
    }
  }

  /// The task of that name, if there is one. That of the call before is found without a string.
  private mutating func task(named name: UnsafeBufferPointer<UInt8>) -> AnyTask? {
    if !lastName.elementsEqual(name) {
      lastTask = tasks.task(named: String(decoding: name, as: UTF8.self))
      lastName = Array(name)
    }
    return lastTask
  }

  private mutating func answer(_ call: UInt64, _ kind: FrameKind, after microseconds: UInt32) {
    callsRun &+= 1
    let isRetiring = callsMax != 0 && callsRun >= callsMax
    output.appendAnswer(
      kind, call: call, isRetiring: isRetiring, microseconds: microseconds, &result)
    if result.count > 1 << 20 {
      result = JSONWriter()  // One large result shall not be remembered as memory for ever.
    } else {
      result.removeAll()
    }
    flush()
    if isRetiring { Self.leave() }
  }

  /// Writes everything. Waits for the server to take it; that never waits for us.
  ///
  /// What was printed goes first, also a piece of a line: whoever has the answer may end this
  /// process.
  private mutating func flush() {
    lido_flush_stdout()
    let isSent = output.withUnsafeBytes { answers.write($0) }
    guard isSent else { Self.leave() }  // The server is gone, or a task has closed the pipe.
    output.removeAll(keepingCapacity: output.count <= 1 << 20)
  }

  /// Ends the process. Not by `exit`: a forked worker would run what the server registered with
  /// `atexit`.
  private static func leave() -> Never {
    fflush(nil)
    _exit(0)
  }
}
