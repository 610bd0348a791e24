import CPlatform
import Glibc

/// A process that outlived the fork server for a moment.
struct Leftover {
  /// nil: a stray, whom nobody asked for.
  var token: ProcessToken?
  var process: Int32
  /// Whether the sentinel is watched, which the system may have refused.
  var isWatched: Bool
}

extension ForkServer {
  /// Starts another fork server after `.lost`, by executing this program anew: by now this process
  /// may have threads, and must not be forked.
  ///
  /// Processes of the lost one are still reported when they are gone. If it throws (the machine is
  /// short of processes, memory or watches), try again a little later; starts fail as transient
  /// until then.
  public func replace() throws(SystemCallError) {
    precondition(isLost, "only a lost fork server is replaced")
    var newProcess: Int32 = 0
    var newSocket: Int32 = -1
    let failure = lido_forkserver_spawn(
      "/proc/self/exe", CommandLine.unsafeArgv, "\(Bootstrap.variable)=forkserver:3",
      &newProcess, &newSocket)
    guard failure == 0 else { throw SystemCallError("fork server", number: failure) }
    do throws(SystemCallError) {
      try watch(newSocket)
    } catch {
      close(newSocket)
      kill(newProcess, SIGKILL)
      Self.reap(newProcess)
      throw error
    }
    process = newProcess
    socket = newSocket
    sendHeld()
  }

  /// Ends the fork server and, by SIGKILL, everything that it has started, and waits until all of
  /// it is gone: some milliseconds. For the end of the program, after its workers had their grace;
  /// without it the same happens, but after this process has ended. Nothing is reported any more.
  public func end() {
    letGo()
    guard !isLost else { return }
    close(socket)
    socket = -1
    if !hasEnded(within: Self.endMax) {
      // It is stopped, or hangs. Its children go with it (PDEATHSIG).
      kill(process, SIGKILL)
    }
    reapServer()
    if adoptsOrphans { endOrphans() }
  }

  private func reapServer() {
    Self.reap(process)
    process = 0
  }

  /// Waits for a child that ends by itself or was killed. Signals do not end the wait.
  private static func reap(_ process: Int32) {
    while waitpid(process, nil, 0) < 0 && errno == EINTR {}
  }

  /// How long the fork server has to end all that it has started and itself, in milliseconds.
  private static let endMax: Int32 = 3_000

  private func hasEnded(within milliseconds: Int32) -> Bool {
    let sentinel = pidfd_open(process, 0)
    guard sentinel >= 0 else { return true }  // No descriptor is left: wait without a bound.
    defer { close(sentinel) }
    var query = pollfd(fd: sentinel, events: Int16(POLLIN), revents: 0)
    return poll(&query, 1, milliseconds) == 1
  }

  /// Kills and reaps what a killed fork server leaves to this process, until there is nothing.
  private func endOrphans() {
    repeat {
      for orphan in listChildren() { kill(orphan, SIGKILL) }
    } while waitpid(-1, nil, 0) > 0 || errno == EINTR
  }

  private func listChildren() -> [Int32] {
    var children = lido_processes()
    defer { free(children.list) }
    lido_list_children(&children)
    return Array(UnsafeBufferPointer(start: children.list, count: children.count))
  }

  /// The socket has ended. The children are being killed by the kernel (PDEATHSIG); each is
  /// reported once its sentinel says that it is gone, so that what it did is not done twice.
  func lose(into report: inout [ForkServerEvent]) {
    close(socket)
    socket = -1
    silence.lost()
    // It has ended or hangs on a socket that it no longer has; it must not go on either way.
    kill(process, SIGKILL)
    reapServer()
    for request in waiting { for descriptor in request.descriptors { close(descriptor) } }
    waiting.removeAll()
    report.append(.lost)
    for (token, child) in children.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      if child.sentinel < 0 {
        // If it was forked at all, the kernel has sent it SIGKILL: the server is reaped.
        let failure = StartFailure(stage: .forkServerLost, errorNumber: ECONNRESET)
        report.append(.startFailed(token: token, failure: failure))
      } else {
        keep(child.sentinel, of: child.process, token)
      }
    }
    children.removeAll()
    adoptStrays()
    collectLeftovers(into: &report)
  }

  /// Reports the leftovers that are gone. Never waits.
  func collectLeftovers(into report: inout [ForkServerEvent]) {
    var isSearchDue = false
    for (sentinel, leftover) in leftovers where Self.hasEnded(sentinel) {
      isSearchDue = true
      leftovers[sentinel] = nil
      if !leftover.isWatched { unwatchedCount -= 1 }
      if adoptsOrphans {
        // Its zombie is ours, so the number of its group cannot be another's yet.
        kill(-leftover.process, SIGKILL)
        waitpid(leftover.process, nil, WNOHANG)
      }
      unwatch(sentinel)
      spent.append(sentinel)
      if let token = leftover.token {
        report.append(.exited(token: token, status: .unknown, use: ResourceUse()))
      }
    }
    if isSearchDue { adoptStrays() }
  }

  /// Waits for a process by its sentinel, which is looked at now and then if it cannot be watched.
  private func keep(_ sentinel: Int32, of process: Int32, _ token: ProcessToken?) {
    let isWatched = (try? watch(sentinel)) != nil
    if !isWatched { unwatchedCount += 1 }
    leftovers[sentinel] = Leftover(token: token, process: process, isWatched: isWatched)
  }

  private static func hasEnded(_ sentinel: Int32) -> Bool {
    var query = pollfd(fd: sentinel, events: Int16(POLLIN), revents: 0)
    return poll(&query, 1, 0) == 1
  }

  /// Kills the children that were reparented to this process because all that was above them is
  /// gone, and waits for each by a sentinel.
  private func adoptStrays() {
    guard adoptsOrphans else { return }
    let known = Set(leftovers.values.map(\.process))
    for stray in listChildren() where stray != process && !known.contains(stray) {
      let sentinel = pidfd_open(stray, 0)
      guard sentinel >= 0 else { continue }
      kill(stray, SIGKILL)
      keep(sentinel, of: stray, nil)
    }
  }
}
