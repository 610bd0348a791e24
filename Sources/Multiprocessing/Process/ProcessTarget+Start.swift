internal import CPlatform
import Glibc

/// The ways into a process of one's own.
extension ProcessTarget {
  /// Forks. In the child it runs what it is to run, and does not return.
  func fork(_ process: Process) throws(ProcessError) -> ChildProcess {
    var child: Int32 = 0
    var sentinel: Int32 = -1
    // Opened here: a parent that has ended cannot be told from another process any more.
    let own = lido_open_self()
    guard own >= 0 else { throw .startFailed(errno, .descriptors, process) }
    let parent = OwnedDescriptor(own)
    switch lido_fork_child(own, &child, &sentinel) {
    case 1: return ChildProcess(child, OwnedDescriptor(sentinel), .forked)
    case 0:
      ProgramRuntime.becomeChild(process, of: parent)
      ChildMain.run(body)
    default: throw .startFailed(errno, .fork, process)
    }
  }

  /// Has the fork server start it: as a fork of that, or as a new execution of this program.
  func serve(
    _ call: Call, _ process: Process, _ method: StartMethod
  ) throws(ProcessError) -> ChildProcess {
    let starter: ProcessStarter
    do throws(ProgramError) {
      starter = try ProgramRuntime.starter()
    } catch {
      throw ProcessError(.program(error), process.name)
    }
    let transfer = DescriptorTransfer(.start)
    defer { withExtendedLifetime(transfer) {} }
    let argument: [UInt8]
    do throws(TaskFailure) {
      argument = try transfer.perform(call.encode)
    } catch {
      throw ProcessError(.argumentEncoding(error.message), process.name)
    }
    let identity = ProgramRuntime.identity()
    let order = ProcessOrder(
      name: process.name, place: process.place, isDaemon: process.isDaemon, startMethod: method,
      authenticationKey: identity.authenticationKey, parentName: identity.name,
      parentProcess: getpid(), workingFolder: ProgramRuntime.workingFolder(),
      descriptorCount: transfer.descriptors.count, task: call.task,
      argument: argument)
    let bytes = order.bytes
    let parcel = lido_sealed_memory("lido-parcel", bytes, bytes.count)
    guard parcel >= 0 else { throw .startFailed(errno, .descriptors, process) }
    defer { close(parcel) }
    let own = lido_open_self()
    guard own >= 0 else { throw .startFailed(errno, .descriptors, process) }
    defer { close(own) }

    var specification = ProcessSpecification(
      method == .spawn
        ? Bootstrap.spawned("process") : .fork(EntryPoint(code: EntryPoint.process)))
    specification.lingers = true
    specification.survivesForkServer = true
    specification.descriptors = [
      .init(parcel, as: ProcessOrder.parcelDescriptor),
      .init(own, as: ProcessOrder.parentDescriptor),
    ]
    // What these are at this moment, not what they were when the fork server was started.
    for standard in [Int32(1), 2] where fcntl(standard, F_GETFD) >= 0 {
      specification.descriptors.append(.init(standard, as: standard))
    }
    for (place, descriptor) in transfer.descriptors.enumerated() {
      specification.descriptors.append(
        .init(descriptor, as: ProcessOrder.firstDescriptor + Int32(place)))
    }
    fflush(nil)  // As fork does: what was printed before comes before what the child prints.
    do throws(StartFailure) {
      let started = try starter.start(specification)
      return ChildProcess(started.process, started.sentinel, .served(started.token, starter))
    } catch {
      throw ProcessError(.startFailed(error), process.name)
    }
  }
}

extension ProcessError {
  fileprivate static func startFailed(
    _ number: Int32, _ stage: StartFailure.Stage, _ process: Process
  ) -> ProcessError {
    ProcessError(.startFailed(StartFailure(stage: stage, errorNumber: number)), process.name)
  }
}
