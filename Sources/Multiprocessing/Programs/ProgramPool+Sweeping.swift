/// What programs leave in their working folders.
extension ProgramPool {
  private static let sweeperNice: Int32 = 10

  /// Starts the process that removes it, if that is due.
  func startSweeper(at now: UInt64) {
    guard !isEnded, sweeps.begin(at: now) else { return }
    var specification = ProcessSpecification(
      .fork(EntryPoint(code: EntryPoint.sweeper)),
      descriptors: [.init(folders.descriptor, as: FolderSweeper.folderDescriptor)])
    specification.nice = Self.sweeperNice
    do throws(StartFailure) {
      sweeper = try forkServer.startProcess(specification)
    } catch {
      sweeps.ended(hasFailed: true, at: now)
    }
  }

  /// That process is gone, or could not be started.
  func sweeperEnded(hasFailed: Bool, at now: UInt64) {
    sweeper = nil
    sweeps.ended(hasFailed: hasFailed, at: now)
  }
}
