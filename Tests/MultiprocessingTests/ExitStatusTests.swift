import Testing

@testable import Multiprocessing

/// Ours, not Swift Testing's.
typealias ExitStatus = Multiprocessing.ExitStatus

@Suite struct ExitStatusTests {
  @Test(arguments: [
    (0x0000, Multiprocessing.ExitStatus.exited(0), Int32(0)), (0x0300, .exited(3), 3),
    (0xff00, .exited(255), 255),
    (0x0009, .signalled(9), -9), (0x008b, .signalled(11), -11),
  ])
  func `a wait status becomes an exitcode as Python has it`(
    status: Int, wanted: Multiprocessing.ExitStatus, exitcode: Int32
  ) {
    #expect(ExitStatus(waitStatus: Int32(status)) == wanted)
    #expect(wanted.exitcode == exitcode)
  }

  @Test func `an unknown exit status is 255`() {
    #expect(ExitStatus.unknown.exitcode == 255)
  }
}
