// The wire form of google-api-go-client, sent by net/http alone: alt=json and prettyPrint=false on every call, a
// version header, JSON bodies of known length, answers decoded strictly: 64-bit integers must be strings.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

type status struct {
	Code    int64             `json:"code"`
	Message string            `json:"message"`
	Details []json.RawMessage `json:"details"`
}

type operation struct {
	Name     string `json:"name"`
	Done     bool   `json:"done"`
	Metadata struct {
		APIMethodName string `json:"apiMethodName"`
		CreateTime    string `json:"createTime"`
		Counter       struct {
			Success int64 `json:"success,string"`
			Failure int64 `json:"failure,string"`
		} `json:"counter"`
	} `json:"metadata"`
	Error *status `json:"error"`
}

type errorReply struct {
	Error struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Status  string `json:"status"`
	} `json:"error"`
}

var root string

func call(verb, path, query string, body, answer interface{}) (int, error) {
	text := []byte(nil)
	if body != nil {
		text, _ = json.Marshal(body)
	}
	request, err := http.NewRequest(verb, root+path+"?alt=json&prettyPrint=false"+query, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	request.Header.Set("x-goog-api-client", "gl-go/1.22.0 gdcl/0.180.0")
	request.Header.Set("User-Agent", "google-api-go-client/0.5")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	return reply.StatusCode, json.NewDecoder(reply.Body).Decode(answer)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func finished(verb, path string, body interface{}) operation {
	var found operation
	code, err := call(verb, path, "", body, &found)
	check(err)
	for !found.Done {
		if code != 200 {
			check(fmt.Errorf("%s %s: %d", verb, path, code))
		}
		time.Sleep(50 * time.Millisecond)
		code, err = call("GET", found.Name, "", nil, &found)
		check(err)
	}
	if _, err = time.Parse(time.RFC3339Nano, found.Metadata.CreateTime); err != nil {
		check(err)
	}
	return found
}

func main() {
	root = os.Args[1] + "/v1/"
	store, bucket, out := os.Args[2], os.Args[3], os.Args[4]
	source := func(name string) interface{} {
		return map[string]interface{}{"gcsSource": map[string]string{"uri": "gs://" + bucket + "/" + name}}
	}
	imported := finished("POST", store+":import", source("**"))
	exported := finished("POST", store+":export", map[string]interface{}{
		"gcsDestination": map[string]string{"uriPrefix": "gs://" + out + "/d"},
	})
	var patched map[string]interface{}
	code, err := call("PATCH", store, "&updateMask=labels", map[string]interface{}{"labels": map[string]string{"k": "v"}}, &patched)
	check(err)
	var missing, wrong errorReply
	_, err = call("GET", store+"-missing", "", nil, &missing)
	check(err)
	_, err = call("POST", store+":import", "", source("**/x"), &wrong)
	check(err)
	check(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"imported": imported, "exported": exported, "patch_code": code, "patched": patched,
		"missing": missing.Error, "wrong": wrong.Error,
	}))
}
