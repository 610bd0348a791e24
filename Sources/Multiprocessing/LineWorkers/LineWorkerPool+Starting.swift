import CPlatform
import Glibc
import JSON

/// How a worker comes into being.
extension LineWorkerPool {
  func startWorker(_ worker: PoolWorkerID, slot: Int, at now: UInt64) {
    do throws(StartFailure) {
      try start(worker, slot: slot, at: now)
    } catch {
      state.startFailed(worker, error, words: words(for: error), at: now)
    }
  }

  /// What failed, with the name of what it failed with.
  func words(for failure: StartFailure) -> String {
    let reason = String(cString: strerror(failure.errorNumber))
    return switch failure.stage {
    case .exec: "the program '\(settings.arguments[0])' cannot be executed: \(reason)"
    case .workingFolder: "the folder '\(settings.folder ?? "")' cannot be entered: \(reason)"
    default: "\(failure)"
    }
  }

  private func start(_ worker: PoolWorkerID, slot: Int, at now: UInt64) throws(StartFailure) {
    var theirs: [ProcessSpecification.Inherited] = []
    defer { for end in theirs { Glibc.close(end.source) } }
    let channel = try openChannel(worker, slot: slot, at: now, &theirs)
    var specification = ProcessSpecification(
      .exec(
        path: settings.arguments[0], arguments: settings.arguments,
        environment: settings.environment
          + ["LIDO_CHANNEL=\(LineWorkerSettings.channelDescriptor)"]),
      descriptors: theirs)
    specification.workingFolder = settings.folder
    specification.nice = settings.nice
    // As in `WorkerPool`.
    specification.isBatch = true
    specification.outOfMemoryAdjustment = settings.outOfMemoryAdjustment
    // Before there is a process: one that nobody listens to must not run.
    do throws(StartFailure) {
      for descriptor in channel.descriptors { try channels.watch(descriptor, of: channel) }
      channels.insert(channel, as: try forkServer.startProcess(specification))
    } catch {
      for descriptor in channel.descriptors { channels.unwatch(descriptor) }
      throw error
    }
    channel.output.bytes += settings.setup(slot: slot, callsMax: state.settings.callsPerWorkerMax)
    channels.noteDirty(channel)
  }

  /// A socket pair and two pipes; `theirs`, the worker's ends, are the caller's to close, whether
  /// it throws or not.
  private func openChannel(
    _ worker: PoolWorkerID, slot: Int, at now: UInt64,
    _ theirs: inout [ProcessSpecification.Inherited]
  ) throws(StartFailure) -> LineChannel {
    var ends: [Int32] = [-1, -1]
    guard lido_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) == 0 else {
      throw StartFailure(stage: .descriptors, errorNumber: errno)
    }
    theirs.append(.init(ends[1], as: LineWorkerSettings.channelDescriptor))
    var ours: [Int32] = []
    for target: Int32 in [1, 2] {
      var ourEnd: Int32 = -1
      var theirEnd: Int32 = -1
      guard lido_make_pipe(0, &ourEnd, &theirEnd) == 0 else {
        let number = errno
        for descriptor in [ends[0]] + ours { Glibc.close(descriptor) }
        throw StartFailure(stage: .descriptors, errorNumber: number)
      }
      ours.append(ourEnd)
      theirs.append(.init(theirEnd, as: target))
    }
    return LineChannel(
      worker: worker, slot: slot, socket: ends[0], outputEnd: ours[0], errorEnd: ours[1],
      startedAt: now, settings: settings)
  }
}
