internal import CPlatform
import Glibc

/// What a child process does from its first line to its last.
enum ChildMain {
  /// Is a process that the fork server has started as `entry`, by what its parcel tells.
  static func serve(_ registry: TaskRegistry, as entry: EntryPoint) -> Never {
    let parentSentinel = entry.number(ProcessOrder.parentDescriptor)
    lido_follow_parent(parentSentinel)
    let parcel = entry.number(ProcessOrder.parcelDescriptor)
    guard let order = ProcessOrder.receive(from: parcel),
      let task = registry.task(named: order.task)
    else {
      Bootstrap.stop("a process was given an order that it cannot read")
    }
    _ = fcntl(parentSentinel, F_SETFD, FD_CLOEXEC)
    let parent = ProcessIdentity.Parent(
      name: order.parentName, process: order.parentProcess,
      sentinel: OwnedDescriptor(parentSentinel))
    ProgramRuntime.state.withLock { state in
      state.startMethod = order.startMethod
      state.identity = ProcessIdentity(
        name: order.name, place: order.place, isDaemon: order.isDaemon,
        authenticationKey: order.authenticationKey, parent: parent)
    }
    // It may be gone, or closed to this user: then it is where the fork server is.
    _ = chdir(order.workingFolder)
    let first = ProcessOrder.firstDescriptor
    let received = (first..<first + Int32(order.descriptorCount)).map(entry.number)
    let transfer = DescriptorTransfer(.start, received: received)
    let argument = order.argument
    run { try transfer.perform { try argument.withUnsafeBufferPointer(task.call) } }
  }

  /// Runs `body`, waits for the children that it leaves, and ends: with 0, or with 1 and the error
  /// on stderr. By exit(3), so that what the process has registered with atexit is called.
  static func run(_ body: () throws -> Void) -> Never {
    var code: Int32 = 0
    do {
      try body()
    } catch {
      code = 1
      report(error)
    }
    EndOfMain.run()
    exit(code)
  }

  /// In one write, so that the reports of several processes do not mix.
  private static func report(_ error: any Error) {
    fflush(nil)
    let name = ProgramRuntime.identity().name
    let text: String
    if let failure = error as? TaskFailure {
      text = "\(name): \(failure.type): \(failure.message)\n"
    } else {
      text = "\(name): \(type(of: error)): \(error)\n"
    }
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return }
      bytes = bytes.dropFirst(count)
    }
  }
}
