import JobCore
import Testing

@testable import JobStorage

struct SyncPolicyTests {
  @Test(
    arguments: [
      ("always", .always), ("never", .never), ("50ms", .every(milliseconds: 50)),
      ("50", .every(milliseconds: 50)), ("2s", .every(milliseconds: 2_000)),
      ("1", .every(milliseconds: 1)), ("3600s", .every(milliseconds: 3_600_000)),
    ] as [(String, SyncPolicy)])
  func `reads words and times`(text: String, expected: SyncPolicy) throws {
    #expect(try SyncPolicy(parsing: text) == expected)
    #expect(try SyncPolicy(parsing: expected.description) == expected)
  }

  @Test(arguments: [
    "", "Always", "0", "0ms", "-1", "+5", "1.5s", "50 ms", "ms", "s", "3601s", "3600001",
    "99999999999999999999", "٣", "1h",
  ])
  func `refuses everything else and says what is right`(text: String) {
    #expect(throws: SyncPolicy.InvalidText(text: text)) { try SyncPolicy(parsing: text) }
    #expect(SyncPolicy.InvalidText(text: text).description.contains("\"50ms\""))
  }
}
