package trial

import (
	"net/http"
	"strings"
)

// itemRows are about sessions of a _bulk request that were not accepted, while
// others may have been. What follows from an item is decided by its status and
// type alone; a hint may also come from its text.
var itemRows = []row{
	{"index_missing", kind("index_not_found_exception"),
		"There is no index {index}, and the cluster does not create it by itself.",
		"Create {index} with the mapping of `session-export mapping`, or allow it in action.auto_create_index."},
	{"data_stream", both(kind("illegal_argument_exception"), itemSays("op_type")),
		"{index} is a data stream, which takes the operation create alone.",
		"Set opType=create in the custom configuration."},
	{"data_stream_time", both(mapping, itemSays("@timestamp")),
		"{index} is a data stream, and a document has no @timestamp.",
		"Set opType=create in the custom configuration: it puts @timestamp in front of every document."},
	{"field_limit", itemSays("total fields"),
		"The index has reached its limit of fields.",
		"Raise index.mapping.total_fields.limit, or create the index with the mapping of `session-export mapping`."},
	{"immense_term", itemSays("immense term"),
		"A text is longer than what a keyword can hold (32,766 bytes), in {field}.",
		"Set ignore_above for keywords, as the mapping of `session-export mapping` does, and index anew."},
	{"nested_limit", itemSays("nested documents has exceeded"),
		"A session has more user actions, events and errors than the index takes as nested documents.",
		"Raise index.mapping.nested_objects.limit in the settings of {index}."},
	{"mapping_strict", kind("strict_dynamic_mapping_exception"),
		"The mapping of {index} is strict and does not know {field}.",
		"Add the fields (`session-export mapping` has them all), or set dynamic to true."},
	{"mapping_conflict", mapping,
		"The mapping of {index} has another type for {field} than what the sessions hold: often an index that was created without a mapping, by its first document.",
		"Create a new index with the mapping of `session-export mapping` and index the old one's documents into it."},
	{"type_refused", both(kind("illegal_argument_exception"), itemSays("Invalid type")),
		"The index {index} has another document type than {doctype}.",
		"Set docType to the one of the index, or leave it empty, and let the path of endpointUrl be /_bulk alone."},
	{"pipeline", both(kind("illegal_argument_exception"), itemSays("pipeline")),
		"The ingest pipeline of the index or of endpointUrl does not exist or fails.",
		"Check the name of the pipeline, and simulate it with a document of `session-export sample`."},
	{"alias_write", both(kind("illegal_argument_exception"), itemSays("no write index")),
		"{index} is an alias of several indexes, and none of them is the one that is written to.",
		"Set is_write_index for one of them, or choose another indexName."},
	{"index_name", kind("invalid_index_name_exception"),
		"{index} is no name that an index may have.",
		"Choose another indexName: lower case, none of \\ / * ? \" < > | , # : or a space."},
	{"index_closed", kind("index_closed_exception"),
		"The index {index} is closed.",
		"Open it, or choose another indexName."},
	{"shard_limit", kind("validation_exception"),
		"The cluster cannot create {index}: it holds as many shards as it may.",
		"Delete old indexes, give {index} fewer shards, or raise cluster.max_shards_per_node."},
	{"disk_full", both(kind("cluster_block_exception"), itemStatus(http.StatusTooManyRequests)),
		"The cluster has closed {index} to writing, because a disk is nearly full (flood stage).",
		"Make room on the data nodes; the block goes by itself, or with index.blocks.read_only_allow_delete: null."},
	{"create_block", kind("index_create_block_exception"),
		"There is no index {index}, and the cluster creates none at present: most likely its disks are nearly full.",
		"Make room on the data nodes; the block goes by itself. If it does not, look at cluster.blocks.create_index."},
	{"index_block", kind("cluster_block_exception"),
		"{index} is closed to writing by a block.",
		"Remove index.blocks.write or read_only from the settings of {index}, or of the cluster."},
	{"index_rights", kind("security_exception"),
		"The user may not write to {index}, or not create it.",
		"Grant the user the privileges write and create_index on {index}."},
	{"versions", itemStatus(http.StatusConflict),
		"A document with the same id is there already, with a version that may not be replaced.",
		"Look for an ingest pipeline that sets versions. opType=create in the custom configuration leaves existing documents alone."},
	{"cluster_busy", itemStatus(http.StatusTooManyRequests),
		"The cluster has more to do than it can take.",
		"Try again later. If it happens with so few sessions, the cluster needs more room: an export sends many times as much."},
	{"cluster_ill", func(s *situation) bool { return s.item.Status >= 500 },
		"A part of the cluster is not available ({error}).",
		"Check the health of the cluster and of the shards of {index}."},
	{"item_refused", always,
		"The cluster does not take these sessions ({error}).",
		"Look for {error} in the log of the cluster, and try a document of `session-export sample` by hand."},
}

// datesAsLong is given although the sessions were accepted: a number without a
// mapping becomes a long, and nothing fails until somebody searches by time.
var datesAsLong = row{"dates_as_long", always,
	"The sessions were accepted, but in the mapping of {index} their times are plain numbers: {long}. The index was created without a mapping.",
	"Create a new index with the mapping of `session-export mapping` before real sessions arrive; the type of a field cannot be changed later."}

func kind(of ...string) func(*situation) bool {
	return func(s *situation) bool {
		for _, known := range of {
			if s.item.Type == known {
				return true
			}
		}
		return false
	}
}

var mapping = kind("mapper_parsing_exception", "document_parsing_exception")

func itemStatus(status int) func(*situation) bool {
	return func(s *situation) bool { return s.item.Status == status }
}

func itemSays(part string) func(*situation) bool {
	return func(s *situation) bool { return strings.Contains(s.said, part) }
}
