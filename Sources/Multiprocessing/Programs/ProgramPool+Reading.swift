import Glibc

/// What programs write, as it comes.
extension ProgramPool {
  /// Reads once. Returns whether there may be more.
  func readOutput(of run: ProgramRun) -> Bool {
    guard let bytes = read(run.outputEnd) else { return false }
    if bytes.isEmpty {
      close(run.outputEnd, of: run)
      state.pipeEnded(run.slot)
      return false
    }
    guard run.output.count + bytes.count <= run.outputBytesMax else {
      run.output = []
      run.isOutputOver = true
      // Not closed: it is to be ended by SIGKILL and not, where it is faster, by SIGPIPE.
      unregister(run.outputEnd)
      state.outputOverflowed(run.slot)
      state.pipeEnded(run.slot)
      return false
    }
    run.output.append(contentsOf: bytes)
    return true
  }

  /// Reads once. Returns whether there may be more.
  func readLog(of run: ProgramRun) -> Bool {
    guard let bytes = read(run.logEnd) else { return false }
    if bytes.isEmpty {
      close(run.logEnd, of: run)
      state.pipeEnded(run.slot)
      return false
    }
    run.log.append(bytes)
    if !run.isGrowthReported {
      run.isGrowthReported = true
      reports.append(.logGrew(call: run.call))
    }
    return true
  }

  /// What is there to read, at most 64 KiB; empty at the end, nil if there is nothing now.
  private func read(_ descriptor: Int32) -> UnsafeRawBufferPointer? {
    let count = Glibc.read(descriptor, readBuffer.baseAddress, readBuffer.count)
    if count < 0 && (errno == EAGAIN || errno == EINTR) { return nil }
    return UnsafeRawBufferPointer(rebasing: readBuffer[..<max(count, 0)])
  }

  /// Reads what a program has left in its pipes: once, as much as a pipe holds, and once for the
  /// end, so that most runs are over in the turn in which their exit is told.
  func readRest(of run: ProgramRun) {
    for _ in 0..<2 where run.outputEnd >= 0 && !run.isOutputOver { _ = readOutput(of: run) }
    for _ in 0..<2 where run.logEnd >= 0 { _ = readLog(of: run) }
  }
}
